"""Whether the arguments of a call fit a signature."""

from __future__ import annotations

from tools.plsql.catalogue import Formal, Signature
from tools.plsql.tree import Argument


def arity_fault(name: str, arguments: list[Argument], arity: tuple[int, int]) -> str | None:
    """What is wrong with a positional call of a built-in function, or None."""
    low, high = arity
    if not low <= len(arguments) <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        return f"{name} takes {wanted} argument(s), not {len(arguments)}"
    named = next((argument.name for argument in arguments if argument.name), None)
    return f"{name} takes its arguments by place, not by name ({named})" if named else None


def bind(signature: Signature, arguments: list[Argument]) -> tuple[str | None, list[tuple[Formal, Argument]]]:
    """What is wrong with the arguments for this signature (or None), and which formal each one fills."""
    bound: list[tuple[Formal, Argument]] = []
    by_name = {formal.name: formal for formal in signature.formals}
    seen_name = False
    for place, argument in enumerate(arguments):
        if argument.name is None:
            if seen_name:
                return f"{signature.name}: a positional argument after a named one", bound
            if place >= len(signature.formals):
                return f"{signature.name} takes {len(signature.formals)} argument(s), not {len(arguments)}", bound
            bound.append((signature.formals[place], argument))
            continue
        seen_name = True
        if signature.positional_only or argument.name not in by_name:
            return f"{signature.name} has no parameter '{argument.name}'", bound
        if any(formal.name == argument.name for formal, _ in bound):
            return f"{signature.name}: '{argument.name}' is given twice", bound
        bound.append((by_name[argument.name], argument))
    given = {formal.name for formal, _ in bound}
    missing = [formal.name for formal in signature.formals if not formal.optional and formal.name not in given]
    if missing:
        return f"{signature.name} is called without {', '.join(missing)}", bound
    return None, bound


def best_fit(signatures: list[Signature], arguments: list[Argument]) -> tuple[str | None, Signature]:
    """The first overload that the arguments fit; else what is wrong with the nearest one."""
    nearest: tuple[int, str, Signature] | None = None
    for signature in signatures:
        fault, bound = bind(signature, arguments)
        if fault is None:
            return None, signature
        if nearest is None or len(bound) > nearest[0]:
            nearest = (len(bound), fault, signature)
    if nearest is None:
        raise ValueError("no signatures")
    return nearest[1], nearest[2]
