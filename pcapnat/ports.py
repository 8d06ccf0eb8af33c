"""Ports: IANA's three ranges, and what a port usually is. What runs on it is for the packets to say."""

from __future__ import annotations

SYSTEM, USER, DYNAMIC = "system", "user", "dynamic"
CLASSES = {SYSTEM: (0, 1023), USER: (1024, 49151), DYNAMIC: (49152, 65535)}
"""RFC 6335 section 6."""


def port_class(port: int) -> str:
    """The IANA range a port lies in."""
    return SYSTEM if port < 1024 else USER if port < 49152 else DYNAMIC


def service(proto: str, port: int) -> str:
    """What is usually found on a port, empty if nothing is usual."""
    return _SERVICES.get((proto, port), "")


def agrees(usual: str, protocol: str) -> bool:
    """Whether what is spoken is what a port's usual service speaks; on a port without one anything is."""
    return not usual or protocol in _SPOKEN.get(usual, {usual})


# IANA Service Name and Transport Protocol Port Number Registry, and for the unregistered ones wide use. Only what
# people meet in captures: a long list would name coincidences.
_BOTH = "tcp udp"
# fmt: off
_LIST = (
    ("tcp", 20, "ftp-data"), ("tcp", 21, "ftp"), ("tcp", 22, "ssh"), ("tcp", 23, "telnet"), ("tcp", 25, "smtp"), (_BOTH, 53, "dns"),
    ("udp", 67, "dhcp server"), ("udp", 68, "dhcp client"), ("udp", 69, "tftp"), ("tcp", 80, "http"), (_BOTH, 88, "kerberos"),
    ("tcp", 110, "pop3"), (_BOTH, 111, "rpcbind"), ("udp", 123, "ntp"), ("tcp", 135, "msrpc"), ("udp", 137, "netbios-ns"),
    ("udp", 138, "netbios-dgm"), ("tcp", 139, "netbios-ssn"), ("tcp", 143, "imap"), ("udp", 161, "snmp"), ("udp", 162, "snmp trap"),
    ("tcp", 179, "bgp"), (_BOTH, 389, "ldap"), ("tcp", 443, "https"), ("udp", 443, "quic"), ("tcp", 445, "smb"), (_BOTH, 464, "kpasswd"),
    ("tcp", 465, "smtps"), ("udp", 500, "isakmp"), ("udp", 514, "syslog"), ("tcp", 515, "lpd"), ("udp", 520, "rip"),
    ("udp", 546, "dhcpv6 client"), ("udp", 547, "dhcpv6 server"), ("tcp", 554, "rtsp"), ("tcp", 587, "submission"),
    ("tcp", 593, "msrpc http"), ("tcp", 631, "ipp"), ("tcp", 636, "ldaps"), ("tcp", 853, "dns over tls"), ("udp", 853, "dns over quic"),
    ("tcp", 873, "rsync"), ("tcp", 989, "ftps-data"), ("tcp", 990, "ftps"), ("tcp", 993, "imaps"), ("tcp", 995, "pop3s"),
    ("tcp", 1080, "socks"), ("udp", 1194, "openvpn"), ("tcp", 1433, "ms-sql"), ("udp", 1434, "ms-sql browser"), ("tcp", 1521, "oracle"),
    ("udp", 1701, "l2tp"), ("tcp", 1723, "pptp"), ("udp", 1812, "radius"), ("udp", 1813, "radius accounting"), ("tcp", 1883, "mqtt"),
    ("udp", 1900, "ssdp"), (_BOTH, 2049, "nfs"), ("tcp", 2179, "hyper-v vmconnect"), ("udp", 2152, "gtp-u"), ("tcp", 2375, "docker"),
    ("tcp", 2379, "etcd"), ("tcp", 3128, "http proxy"), ("tcp", 3268, "global catalog"), ("tcp", 3306, "mysql"), (_BOTH, 3389, "rdp"),
    ("udp", 3478, "stun"), ("udp", 3544, "teredo"), ("udp", 3702, "ws-discovery"), ("udp", 4500, "ipsec nat-t"), ("udp", 4789, "vxlan"),
    (_BOTH, 5060, "sip"), ("tcp", 5061, "sips"), ("tcp", 5201, "iperf3"), ("udp", 5201, "iperf3"), ("tcp", 5222, "xmpp"),
    ("udp", 5351, "pcp / nat-pmp"), ("udp", 5353, "mdns"), ("udp", 5355, "llmnr"), ("tcp", 5357, "wsd"), ("tcp", 5432, "postgresql"),
    ("tcp", 5671, "amqps"), ("tcp", 5672, "amqp"), ("tcp", 5900, "vnc"), ("tcp", 5985, "winrm"), ("tcp", 5986, "winrm https"),
    ("udp", 6081, "geneve"), ("tcp", 6379, "redis"), ("tcp", 6443, "kubernetes api"), ("tcp", 6600, "hyper-v live migration"),
    ("tcp", 8000, "http alternative"), ("tcp", 8080, "http alternative"), ("tcp", 8443, "https alternative"), ("tcp", 8883, "mqtt tls"),
    ("tcp", 9090, "prometheus"), ("tcp", 9092, "kafka"), ("tcp", 9100, "printer"), ("tcp", 9200, "elasticsearch"),
    ("tcp", 10250, "kubelet"), ("tcp", 11211, "memcached"), ("tcp", 27017, "mongodb"), ("udp", 51820, "wireguard"),
)
# fmt: on
_SERVICES = {(proto, port): name for protos, port, name in _LIST for proto in protos.split()}
# What the services above speak, by the names that protocols have in `message`; those not listed speak what they are called.
_SPOKEN = {
    name: set(spoken.split())
    for names, spoken in (
        ("http|http alternative|winrm|wsd", "http"),
        ("https|https alternative|smtps|ldaps|ftps|ftps-data|imaps|pop3s|sips|amqps|mqtt tls|dns over tls|winrm https", "tls"),
        ("docker|etcd|kubernetes api|kubelet|http proxy|prometheus|elasticsearch|ipp", "http tls"),
        ("ftp", "ftp tls"),
        ("submission", "smtp tls"),
        ("dns over quic", "quic"),
        ("netbios-ssn", "smb"),
        ("netbios-ns", "nbns"),
        ("dhcp server|dhcp client", "dhcp"),
        ("dhcpv6 server|dhcpv6 client", "dhcpv6"),
        ("isakmp|ipsec nat-t", "ike"),
        ("rdp|hyper-v vmconnect", "rdp tls dtls"),
        ("msrpc http", "msrpc http"),
        ("stun", "stun dtls tls"),
        ("rtsp", "rtsp http"),
        ("snmp trap", "snmp"),
        ("ms-sql|kafka|xmpp|etcd|openvpn", "tls"),
    )
    for name in names.split("|")
}


def named(name: str) -> tuple[int, tuple[str, ...]] | None:
    """(port, protocols) that a service's name stands for; None if no service has it."""
    found = [(proto, port) for (proto, port), service in _SERVICES.items() if service == name]
    return (found[0][1], tuple(proto for proto, port in found if port == found[0][1])) if found else None
