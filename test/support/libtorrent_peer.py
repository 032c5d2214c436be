"""A libtorrent session for the tests: seeds or downloads one torrent on loopback until it is stopped.

usage: libtorrent_peer.py seed|download TORRENT DIRECTORY [HOST:PORT ...]
       libtorrent_peer.py create PATH TORRENT PIECE_LENGTH PADDING(0|1)
LISTEN in the environment says where to listen, such as [::1]:0.
Prints {"port": N} when it accepts connections, and {"done": true} when a download is complete.
"""

import json
import os
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


def serve(role, torrent, directory, peers):
    session = lt.session(
        {
            "listen_interfaces": os.environ.get("LISTEN", "127.0.0.1:0"),
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "allow_multiple_connections_per_ip": True,
            "out_enc_policy": 2,
            "in_enc_policy": 1,
        }
    )
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
    serve(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
