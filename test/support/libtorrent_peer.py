"""A libtorrent session for the tests: seeds or downloads one torrent on loopback until it is stopped.

usage: libtorrent_peer.py seed|download TORRENT|MAGNET DIRECTORY SETTINGS [HOST:PORT ...]
       libtorrent_peer.py create PATH TORRENT PIECE_LENGTH PADDING(0|1)
SETTINGS is a JSON object of libtorrent's settings by their names (bench/rivals/clients.ts).
Prints {"port": N} when it accepts connections, and {"done": true} when a download is complete.
"""

import json
import sys
import time

import libtorrent as lt


def say(**fields):
    print(json.dumps(fields), flush=True)


def create(path, torrent, piece_length, padding):
    storage = lt.file_storage()
    lt.add_files(storage, path)
    flags = 16 if padding else 0  # create_torrent.canonical_files: pads files so that they are aligned
    maker = lt.create_torrent(storage, piece_length, flags=flags) if padding else lt.create_torrent(storage, piece_length, flags=64)
    maker.set_creator("libtorrent")
    parent = path.rstrip("/").rsplit("/", 1)[0]
    lt.set_piece_hashes(maker, parent)
    with open(torrent, "wb") as file:
        file.write(lt.bencode(maker.generate()))


def serve(role, torrent, directory, settings, peers):
    pack = json.loads(settings)
    session = lt.session(pack)
    if "upload_rate_limit" in pack:
        # Else its limits are not for peers of the same network: here all of them are.
        everybody = lt.ip_filter()
        everybody.add_rule("0.0.0.0", "255.255.255.255", 1 << lt.session.global_peer_class_id)
        session.set_peer_class_filter(everybody)
    if torrent.startswith("magnet:"):
        parameters = lt.parse_magnet_uri(torrent)
    else:
        parameters = lt.add_torrent_params()
        parameters.ti = lt.torrent_info(torrent)
    parameters.save_path = directory
    if role == "seed":
        parameters.flags |= lt.torrent_flags.seed_mode
    handle = session.add_torrent(parameters)
    while session.listen_port() == 0:
        time.sleep(0.02)
    say(port=session.listen_port())
    for peer in peers:
        host, port = peer.rsplit(":", 1)
        handle.connect_peer((host, int(port)))
    told = False
    while True:
        if not told and role == "download" and handle.status().is_seeding:
            told = True
            say(done=True)
        time.sleep(0.05)


if sys.argv[1] == "create":
    create(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5] == "1")
else:
    serve(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
