// libtorrent (rasterbar) as a measured program: one session with one torrent, downloading it or seeding it, with the disk
// back end that is asked for. Compiled on demand, because the Python binding of libtorrent cannot choose the back end.
//
// usage: libtorrent-harness download|seed TORRENT DIRECTORY posix|mmap|disabled [SETTING=VALUE ...]
//
// It prints {"port":N} when peers may connect. When a line with addresses ("127.0.0.1:6881 127.0.0.2:6881") is read from
// standard input it connects to them. A download prints {"done":true} when every piece has been checked (by `disabled`: has
// come) and everything that was queued for the disk has been given to the system. It answers an empty line with {"uploaded":N}, bytes of
// blocks that it has sent, and ends when standard input ends.

#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/disabled_disk_io.hpp>
#include <libtorrent/ip_filter.hpp>
#include <libtorrent/mmap_disk_io.hpp>
#include <libtorrent/posix_disk_io.hpp>
#include <libtorrent/session.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_info.hpp>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace lt = libtorrent;

namespace {

[[noreturn]] void fail(std::string const& why) {
  std::fprintf(stderr, "libtorrent-harness: %s\n", why.c_str());
  std::exit(1);
}

/** Sets one setting by its name in libtorrent's manual; true or false for flags. */
void apply(lt::settings_pack& settings, std::string const& argument) {
  auto const equals = argument.find('=');
  int const name = equals == std::string::npos ? -1 : lt::setting_by_name(argument.substr(0, equals));
  if (name < 0) fail("no such setting: " + argument);
  std::string const value = argument.substr(equals + 1);
  switch (name & lt::settings_pack::type_mask) {
    case lt::settings_pack::string_type_base: settings.set_str(name, value); break;
    case lt::settings_pack::bool_type_base: settings.set_bool(name, value == "true"); break;
    default: settings.set_int(name, std::stoi(value));
  }
}

/** A preset and what this program listens for; whatever else a session has is told by arguments (clients.ts, subjects.ts). */
lt::settings_pack base_settings(bool seeding) {
  lt::settings_pack settings = seeding ? lt::high_performance_seed() : lt::default_settings();
  settings.set_int(lt::settings_pack::alert_mask,
                   lt::alert_category::status | lt::alert_category::error | lt::alert_category::storage);
  return settings;
}

lt::disk_io_constructor_type back_end(std::string const& name) {
  if (name == "posix") return lt::posix_disk_io_constructor;
  if (name == "mmap") return lt::mmap_disk_io_constructor;
  if (name == "disabled") return lt::disabled_disk_io_constructor;
  fail("no such disk: " + name);
}

/** Reads addresses, a line at a time, and connects to them; ends the program when there is nothing more to read. */
void follow_input(lt::torrent_handle torrent) {
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.empty()) {
      std::printf("{\"uploaded\":%lld}\n", static_cast<long long>(torrent.status().total_payload_upload));
      std::fflush(stdout);
    }
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      auto const colon = word.rfind(':');
      lt::error_code error;
      auto const host = lt::make_address(word.substr(0, colon), error);
      if (error) fail("no such address: " + word);
      torrent.connect_peer({host, static_cast<std::uint16_t>(std::stoi(word.substr(colon + 1)))});
    }
  }
  // The session is not taken down in order: what is measured is over, and nothing in it is needed again.
  std::_Exit(0);
}

void allow_many_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5)
    fail("usage: libtorrent-harness download|seed TORRENT DIRECTORY posix|mmap|disabled [SETTING=VALUE ...]");
  allow_many_files();
  bool const seeding = std::string(argv[1]) == "seed";
  std::string const disk = argv[4];
  lt::session_params session_params;
  session_params.settings = base_settings(seeding);
  session_params.disk_io_constructor = back_end(disk);
  // The disabled disk answers every question for a digest with zeros.
  if (disk == "disabled") session_params.settings.set_bool(lt::settings_pack::disable_hash_checks, true);
  for (int index = 5; index < argc; index++) apply(session_params.settings, argv[index]);
  bool const is_limited = session_params.settings.get_int(lt::settings_pack::upload_rate_limit) > 0;
  lt::session session(std::move(session_params));
  if (is_limited) {
    // Else its limits are not for peers of the same network: here all of them are.
    lt::ip_filter everybody;
    everybody.add_rule(lt::make_address("0.0.0.0"), lt::make_address("255.255.255.255"),
                       1U << static_cast<std::uint32_t>(lt::session::global_peer_class_id));
    session.set_peer_class_filter(everybody);
  }

  lt::add_torrent_params torrent_params;
  torrent_params.ti = std::make_shared<lt::torrent_info>(std::string(argv[2]));
  torrent_params.save_path = argv[3];
  // Started at once, by nobody's queue, and no tracker is asked.
  torrent_params.flags &= ~(lt::torrent_flags::auto_managed | lt::torrent_flags::paused);
  torrent_params.trackers.clear();
  // Not in "seed mode", which would hash each piece when it is asked for the first time, while it is measured. So the data is
  // checked before peers are welcome.
  lt::torrent_handle const torrent = session.add_torrent(torrent_params);

  // "Checked" says that peers are welcome; a download's empty folder is checked as well.
  bool checked = false;
  bool told = false;
  for (;;) {
    if (!told && checked && session.listen_port() != 0) {
      told = true;
      std::printf("{\"port\":%d}\n", session.listen_port());
      std::fflush(stdout);
      std::thread(follow_input, torrent).detach();
    }
    session.wait_for_alert(std::chrono::seconds(told ? 3600 : 1));
    std::vector<lt::alert*> alerts;
    session.pop_alerts(&alerts);
    for (lt::alert* const alert : alerts) {
      if (lt::alert_cast<lt::torrent_checked_alert>(alert)) checked = true;
      else if (lt::alert_cast<lt::torrent_finished_alert>(alert) && !seeding) torrent.flush_cache();
      else if (lt::alert_cast<lt::cache_flushed_alert>(alert) && !seeding) {
        if (!torrent.status().is_finished) continue;
        std::printf("{\"done\":true}\n");
        std::fflush(stdout);
      } else if (lt::alert_cast<lt::torrent_error_alert>(alert) || lt::alert_cast<lt::file_error_alert>(alert))
        fail(alert->message());
    }
  }
}
