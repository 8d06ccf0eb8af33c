"""Expressions of `nft -j` as people write them: enough to know a rule again."""

from __future__ import annotations

from typing import Any

DEEPEST = 8


def said(e: Any, depth: int = 0) -> str:
    """An expression or statement in about nft's own words."""
    if depth > DEEPEST:
        return "..."
    if isinstance(e, list):
        parts = [said(item, depth + 1) for item in e[:8]]
        return ", ".join(parts) + (", ..." if len(e) > 8 else "")
    if not isinstance(e, dict):
        return "" if e is None else str(e)[:80]
    if len(e) != 1:
        return " ".join(f"{k} {said(v, depth + 1)}".strip() for k, v in list(e.items())[:8])
    ((kind, body),) = e.items()
    if kind == "match" and isinstance(body, dict):
        op = body.get("op", "==")
        middle = " " if op in ("==", "in") else f" {op} "
        return f"{said(body.get('left'), depth + 1)}{middle}{said(body.get('right'), depth + 1)}"
    if kind == "payload" and isinstance(body, dict):
        return f"{body.get('protocol', '@')} {body.get('field', said(body, depth + 1) if 'protocol' not in body else '')}"
    if kind in ("meta", "ct") and isinstance(body, dict):
        key = str(body.get("key", ""))
        return key if key in ("iifname", "oifname", "iif", "oif") else f"{kind} {key}"
    if kind == "set":
        return f"{{ {said(body, depth + 1)} }}"
    if kind == "range" and isinstance(body, list) and len(body) == 2:
        return f"{said(body[0], depth + 1)}-{said(body[1], depth + 1)}"
    if kind == "prefix" and isinstance(body, dict):
        return f"{body.get('addr')}/{body.get('len')}"
    if kind == "concat" and isinstance(body, list):
        return " . ".join(said(item, depth + 1) for item in body[:8])
    if kind == "&" and isinstance(body, list):
        return " & ".join(said(item, depth + 1) for item in body[:2])
    if kind in ("snat", "dnat", "redirect", "masquerade") and isinstance(body, dict):
        where, at = said(body.get("addr"), depth + 1), said(body.get("port"), depth + 1)
        to = f" to {where}{':' + at if at else ''}" if where or at else ""
        return f"{kind}{to} {said(body.get('flags'), depth + 1)}".strip()
    if kind in ("map", "vmap") and isinstance(body, dict):
        data = body.get("data")
        members = data.get("set") if isinstance(data, dict) else None
        if isinstance(members, list) and all(isinstance(m, list) and len(m) == 2 for m in members):
            inner = ", ".join(f"{said(m[0], depth + 1)} : {said(m[1], depth + 1)}" for m in members[:8]) + (
                ", ..." if len(members) > 8 else ""
            )
            return f"{said(body.get('key'), depth + 1)} {kind} {{ {inner} }}"
        return f"{said(body.get('key'), depth + 1)} {kind} {said(data, depth + 1)}"
    if kind == "mangle" and isinstance(body, dict):
        return f"{said(body.get('key'), depth + 1)} set {said(body.get('value'), depth + 1)}"
    if kind in ("jump", "goto") and isinstance(body, dict):
        return f"{kind} {body.get('target', '')}"
    if kind == "reject" and isinstance(body, dict):
        return f"reject with {body.get('type', '')} {body.get('expr', '')}".strip()
    if kind == "counter":
        return "counter"
    if kind == "log":
        return "log"
    return f"{kind} {said(body, depth + 1)}".strip()


DECIDING = ("limit", "quota", "ct count", "meter", "set", "map", "xt", "tproxy", "synproxy", "dup", "fwd", "queue", "osf", "ct expectation")
"""Statements after which a rule may not go on, or which lead the packet elsewhere."""


def told(kind: str, body: Any, unknown: list[str]) -> None:
    """Note a statement that is not modelled: one that decides makes the rule unknown, others change what the model does not look at."""
    text = said({kind: body})[:120]
    if kind == "xt" and isinstance(body, dict):
        text = f"xt {body.get('type', '')} {body.get('name', '')}: rules that iptables made; give the output of iptables-save"
    within = kind == "limit" and not (isinstance(body, dict) and body.get("inv"))  # taken as not exceeded
    unknown.append(text if kind in DECIDING and not within else "+" + text)
