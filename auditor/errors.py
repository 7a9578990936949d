"""The exception tree: what went wrong decides what the program does then.

AuditorError
+-- UsageError               exit 2: a request the program cannot understand
|   +-- SettingsError          an option, variable or settings file
|   +-- InventoryFileError     a hosts file
|   +-- RuleSetError           a rule-set file
|   +-- OutputError            a report file that cannot be written
|   +-- SecretError            a secret's reference is none, or leads nowhere
|   +-- PlanError              a plan file is none, was changed, is too old, or is for another cloud
|   +-- StoreError             the store cannot be read or written: nothing is begun without it
+-- PluginError              exit 2: a check, remediation or renderer that cannot be loaded
+-- SourceError              one scope could not be read: recorded in the coverage, the run goes on
|   +-- AuthenticationError    exit 2 when it hits the very first call: nobody is signed in
|   +-- PermissionMissing      403: the identity may not read this scope
|   +-- NotFound               404: the thing is gone
|   +-- Throttled              429 for longer than the run was allowed to wait
|   +-- HostError              a guest could not be reached or asked
|       +-- Unreachable            no connection at all: another way in may be tried
+-- FactUnavailable          raised by `known()`: the engine reports UNKNOWN with the reason
"""


class AuditorError(Exception):
    """Root of everything that this program raises on purpose."""


class UsageError(AuditorError):
    """The request is wrong: the message names the input and the way out; exit code 2."""


class SettingsError(UsageError):
    """An option, environment variable or settings file holds something unusable."""


class InventoryFileError(UsageError):
    """A hosts file cannot be read as one."""


class RuleSetError(UsageError):
    """A rule-set file cannot be read as one."""


class OutputError(UsageError):
    """A report file cannot be written; the other formats are."""


class SecretError(UsageError):
    """A secret's reference is none, or leads nowhere; the message never holds the secret."""


class PlanError(UsageError):
    """A plan cannot be applied: it is none, was changed, is too old, or is for another cloud."""


class StoreError(UsageError):
    """The store cannot be read or written; a step that it could not note is not begun."""


class PluginError(AuditorError):
    """A plugin cannot be loaded, or two claim the same id; exit code 2."""


class SourceError(AuditorError):
    """A scope (subscription, vault, machine) could not be read; the rest of the run goes on."""


class AuthenticationError(SourceError):
    """No credential works; at the first call the run ends with exit code 2."""


class PermissionMissing(SourceError):
    """The identity may not read this scope."""


class NotFound(SourceError):
    """The resource is not there (any more)."""


class Throttled(SourceError):
    """The service throttled us for longer than the run was allowed to wait."""


class HostError(SourceError):
    """A guest could not be reached, or did not answer within its deadline."""


class Unreachable(HostError):
    """No connection to the guest came about: nothing was said to it, and another way may be tried."""


class FactUnavailable(AuditorError):
    """A check asked for a fact that could not be seen; its finding is UNKNOWN with this reason."""
