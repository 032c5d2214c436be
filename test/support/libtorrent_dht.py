"""A libtorrent node of the DHT for the tests, until its input ends.

usage: libtorrent_dht.py HOST:PORT [HOST]   (of a node to begin with; where it listens, 127.0.0.1 if nothing is said)
Reads lines: `announce INFO_HASH` (joins the torrent, which tells the DHT), `seed TORRENT DIRECTORY`, and `get INFO_HASH`.
Prints {"port": N} first, {"peers": [[host, port], ...]} for each answer to a get, {"nodes": N} while the table grows.
"""

import json
import select
import sys

import libtorrent as lt


def say(**fields):
    print(json.dumps(fields), flush=True)


def main(bootstrap, host="127.0.0.1"):
    session = lt.session(
        {
            "listen_interfaces": f"{host}:0",
            "enable_dht": True,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "allow_multiple_connections_per_ip": True,
            "dht_bootstrap_nodes": bootstrap,
            "dht_restrict_routing_ips": False,
            "dht_restrict_search_ips": False,
            "dht_ignore_dark_internet": False,
            "dht_prefer_verified_node_ids": False,
            "dht_block_ratelimit": 100000,
            "alert_mask": 0x7FFFFFFF,
        }
    )
    say(port=session.listen_port())
    told = 0
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], 0.1)
        if ready:
            line = sys.stdin.readline()
            if line == "":
                return
            verb, text, *rest = line.split()
            if verb == "get":
                session.dht_get_peers(lt.sha1_hash(bytes.fromhex(text)))
            elif verb == "seed":
                parameters = lt.add_torrent_params()
                parameters.ti = lt.torrent_info(text)
                parameters.save_path = rest[0]
                parameters.flags = lt.torrent_flags.seed_mode
                session.add_torrent(parameters)
            else:
                parameters = lt.parse_magnet_uri("magnet:?xt=urn:btih:" + text)
                parameters.save_path = "/tmp"
                session.add_torrent(parameters)
        session.post_dht_stats()
        for alert in session.pop_alerts():
            if isinstance(alert, lt.dht_get_peers_reply_alert):
                say(peers=alert.peers())
            elif isinstance(alert, lt.dht_stats_alert):
                nodes = sum(bucket["num_nodes"] for bucket in alert.routing_table)
                if nodes != told:
                    told = nodes
                    say(nodes=nodes)


main(*sys.argv[1:])
