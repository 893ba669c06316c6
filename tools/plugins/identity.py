"""Ids that stay the same for ever.

APEX keeps plug-ins, attributes, values, events and files under ids that are primary keys of one repository, shared by
every plug-in of an instance. A random id that is made anew with each build would turn every re-import into a different
component; a small one would meet somebody else's. So an id is the digest of what the component is called for ever.
"""

from __future__ import annotations

import hashlib

_FIRST = 10**18
_COUNT = 9 * 10**18


def stable_id(*names: str | int) -> int:
    """A number of 19 digits for a component, the same in every build.

    Args:
        names: the plug-in's internal name, the kind of component, and what tells it apart from its like.
    """
    text = "\x1f".join(["apex-rtm", *(str(name) for name in names)])
    return _FIRST + int.from_bytes(hashlib.sha256(text.encode()).digest()[:16]) % _COUNT


def files_version(files: dict[str, bytes]) -> int:
    """The number that browsers see in the address of embedded files: another for other contents."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return 1 + int.from_bytes(digest.digest()[:4]) % 999_999_999
