"""Where Azure says a VM can be reached."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NicAddresses:
    """The addresses of a VM's network interfaces, those of the primary one first; `fqdn` is a public name.

    `subnets` are the lower-cased ids of the subnets that the interfaces are in, each once.
    """

    private: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    fqdn: str | None = None
    subnets: tuple[str, ...] = ()
