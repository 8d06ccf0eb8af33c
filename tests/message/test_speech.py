"""What a conversation really speaks: server names, hosts, banners, shares, calls."""

from __future__ import annotations

import struct
from typing import Any

import dpkt
import pytest
from made_messages import CLIENT, SERVER, client_hello, dns_query, read, tcp, udp
from packet_script import START_NS, Frame

from pcapnat.message import Application, Topic
from pcapnat.message.greeting import banner, http, sip, smb, ssh, tls


def application(*frames: bytes | Frame, snaplen: int = 262144) -> Application:
    """What the first conversation of some frames speaks."""
    _, said = read(frames, snaplen)
    found = said.speech.application(0)
    assert found
    return found


@pytest.mark.parametrize("name", ["www.example.com", "xn--bcher-kva.example", None])
@pytest.mark.parametrize("alpn", [("h2", "http/1.1"), ()])
def test_a_client_hello_of_openssl(name: str | None, alpn: tuple[str, ...]) -> None:
    hello = client_hello(name, alpn)
    said = application(tcp(hello, 50000, 8443))
    assert (said.protocol, said.name, said.alpn, said.row) == ("tls", name or "", list(alpn), 0)
    assert said.details == {"side": "client", "version": "TLS 1.3"}
    record = dpkt.ssl.TLSRecord(hello)
    extensions = dict(dpkt.ssl.TLSHandshake(record.data).data.extensions)
    assert extensions.get(0, b"")[5:].decode() == said.name
    assert extensions.get(16, b"")[2:] == b"".join(bytes([len(a)]) + a.encode() for a in alpn)


def test_a_hello_that_the_capture_cut() -> None:
    hello = client_hello("cut.example.com")
    at = hello.index(b"cut.example.com")
    whole = tcp(hello, 50000, 443)
    head = len(whole) - len(hello)
    assert application(whole, snaplen=head + at + 15).name == "cut.example.com"
    assert application(whole, snaplen=head + 46).name == ""
    _, said = read([whole], snaplen=head + 20)
    assert (said.malformed, said.cut) == ({}, {Topic.TLS: 1})


def server_hello(version: int, *, extension: bool) -> bytes:
    """A ServerHello, with the chosen version in an extension or without one."""
    body = struct.pack("!H", 0x0303 if extension else version) + bytes(32) + b"\0" + b"\x13\1" + b"\0"
    extensions = struct.pack("!HHH", 43, 2, version) + struct.pack("!HHH", 16, 5, 3) + b"\2h2" if extension else b""
    body += struct.pack("!H", len(extensions)) + extensions if extension else b""
    message = b"\2" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\3" + struct.pack("!H", len(message)) + message


def test_a_server_hello() -> None:
    said = tls(server_hello(0x0304, extension=True))
    assert (said.alpn, said.details) == (["h2"], {"side": "server", "version": "TLS 1.3"})
    assert tls(server_hello(0x0302, extension=False)).details["version"] == "TLS 1.1"
    assert tls(server_hello(0x7F12, extension=True)).details["version"] == "TLS 1.2"
    assert tls(b"\x16\3\1\0\4\0\0\0\0").details == {"handshake": 0}


def test_a_hello_in_two_records() -> None:
    hello = client_hello("two.example")
    body = hello[5:]
    halves = b"".join(b"\x16\3\1" + struct.pack("!H", len(part)) + part for part in (body[:70], body[70:]))
    assert tls(halves).name == "two.example"


HTTP = (
    (b"GET /a/b?secret=1 HTTP/1.1\r\nHost: example.com:8080\r\n\r\n", "example.com:8080", {"method": "GET", "path": "/a/b"}),
    (b"CONNECT example.com:443 HTTP/1.1\r\nHost: proxy\r\n\r\n", "example.com:443", {"method": "CONNECT"}),
    (b"GET http://example.com/x HTTP/1.0\r\n\r\n", "example.com", {"method": "GET", "path": "http://example.com/x"}),
    (b"POST /" + b"p" * 500 + b" HTTP/1.1\nHOST:h\n\n", "h", {"method": "POST", "path": "/" + "p" * 199}),
    (b"HTTP/1.1 404 Not Found\r\nServer: nginx/1.2\r\n\r\n", "", {"status": "404", "server": "nginx/1.2"}),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", {"version": "2"}),
    (b"HEAD / HTTP/1.1\r\nHost: cut.exam", "cut.exam", {"method": "HEAD", "path": "/"}),
)


@pytest.mark.parametrize(("data", "name", "details"), HTTP)
def test_http(data: bytes, name: str, details: dict[str, str]) -> None:
    said = http(data)
    assert (said.name, said.details) == (name, details)


def test_http_as_dpkt_reads_it() -> None:
    data = HTTP[0][0]
    request = dpkt.http.Request(data)
    said = http(data)
    assert (said.name, said.details["method"]) == (request.headers["host"], request.method)
    assert request.uri.startswith(said.details["path"])


def test_banners() -> None:
    assert ssh(b"SSH-2.0-OpenSSH_9.6p1 Ubuntu\r\nmore").name == "OpenSSH_9.6p1 Ubuntu"
    assert banner(b"220 (vsFTPd 3.0.5)\r\n").name == "(vsFTPd 3.0.5)"
    with pytest.raises(ValueError, match="version"):
        ssh(b"SSH-\n")


def smb2(command: int, body: bytes, *, answer: bool = False) -> bytes:
    """An SMB2 message behind its length."""
    message = b"\xfeSMB" + struct.pack("<HHIHHII", 64, 0, 0, command, 1, int(answer), 0) + bytes(40) + body
    return struct.pack("!I", len(message)) + message


def test_smb() -> None:
    share = "\\\\files\\projects".encode("utf-16-le")
    negotiate = smb2(0, struct.pack("<HHHHI16sII", 36, 3, 1, 0, 0, b"", 0, 0) + struct.pack("<HHH", 0x0202, 0x0302, 0x0311))
    chosen = smb2(0, struct.pack("<HHHH", 65, 1, 0x0311, 0), answer=True)
    pipes = smb2(3, struct.pack("<HHHH", 9, 0, 72, len(share)) + "\\\\files\\IPC$".encode("utf-16-le").ljust(len(share), b"\0"))
    tree = smb2(3, struct.pack("<HHHH", 9, 0, 72, len(share)) + share)
    frames = [tcp(negotiate, 50000, 445), tcp(chosen, 445, 50000, src=SERVER, dst=CLIENT), tcp(pipes, 50000, 445), tcp(tree, 50000, 445)]
    said = application(*frames)
    assert (said.protocol, said.name) == ("smb", "\\\\files\\projects")
    assert said.details["dialect"] == "3.1.1"
    assert said.details["offered"] == ["2.0.2", "3.0.2", "3.1.1"]
    assert said.details["shares"][1] == "\\\\files\\projects"  # type: ignore[index]
    old = b"\0\0\0\x60\xffSMB\x72" + bytes(28) + b"\0\x2f\0\2NT LM 0.12\0\2SMB 2.002\0"
    assert smb(old).details == {"dialect": "1", "offered": ["NT LM 0.12", "SMB 2.002"]}
    with pytest.raises(ValueError, match="SMB"):
        smb(b"\0\0\0\0\xfdSMB")


INVITE = (
    b"INVITE sip:bob@biloxi.example SIP/2.0\r\nv: SIP/2.0/UDP 192.168.1.10:5060;branch=z9;rport\r\n"
    b"f: Alice <sip:alice@atlanta.example>;tag=1\r\n"
    b"t: Bob <sip:bob@biloxi.example>\r\ni: a84b4c@pc33\r\nm: <sip:alice@192.168.1.10:5070>\r\n\r\n"
)  # fmt: skip


def test_sip() -> None:
    said = sip(INVITE)
    assert said.name == "bob@biloxi.example"
    assert said.details == {
        "first_line": "INVITE sip:bob@biloxi.example SIP/2.0", "from": "Alice <sip:alice@atlanta.example>;tag=1",
        "to": "Bob <sip:bob@biloxi.example>", "call_id": "a84b4c@pc33",
    }  # fmt: skip
    for frame in (udp(INVITE, 5060, 5060), tcp(INVITE, 5060, 5060)):
        assert application(frame).protocol == "sip"


def test_stun_and_questions() -> None:
    cookie = b"\x21\x12\xa4\x42" + bytes(12)
    answer = b"\1\1\0\x0c" + cookie + b"\0\x20\0\x08\0\1" + struct.pack("!HI", 40000 ^ 0x2112, 0xCB007107 ^ 0x2112A442)
    said = application(udp(b"\0\1\0\0" + cookie, 50000, 3478), udp(answer, 3478, 50000, SERVER, CLIENT))
    assert said.details == {"mapped": "203.0.113.7:40000"}
    assert application(udp(b"\0\1\0\0" + cookie, 50000, 3478)).details == {}
    assert application(udp(dns_query("asked.example"), 50000, 53)).name == "asked.example"
    framed = struct.pack("!H", 31) + dns_query("asked.example")
    assert application(tcp(framed, 50000, 53)).name == "asked.example"


def test_what_is_only_recognised() -> None:
    said = application(udp(b"\x23" + bytes(47), 50000, 123))
    assert said == Application("ntp")
    _, nothing = read([udp(b"?" * 20, 50000, 50001)])
    assert nothing.speech.application(0) is None
    assert nothing.speech.application(-1) is None


def test_what_makes_no_sense_is_counted_once() -> None:
    bad: Any = b"\x16\3\1\0\5\1\0\0\1\3"
    port, said = read([tcp(bad, 50000, 443)])
    assert said.malformed == {Topic.TLS: 1}
    assert said.speech.application(0) == Application("tls", row=0)
    assert said.speech.application(0) is said.speech.application(0)
    assert port.picked.spoken.tolist() == [Topic.TLS]


def test_a_bound_on_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from pcapnat.message import speech

    monkeypatch.setattr(speech, "MOST_READ", 2)
    frames = [Frame(START_NS + n, tcp(HTTP[0][0], 50000 + n, 80)) for n in range(5)]
    _, said = read(frames)
    assert said.unread == {Topic.HTTP: 3}
    assert [said.speech.application(n).name for n in range(5)] == ["example.com:8080"] * 2 + [""] * 3  # type: ignore[union-attr]
