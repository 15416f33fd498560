"""What the user set: settings, credentials, addresses. The rest of ftctl imports from here.

Precedence: flag, environment, project file (`ftctl.toml` here or in a folder above), user file,
default; every value remembers where it comes from.
"""

from ftctl.config.addresses import (
    BASE_URL_VARIABLES,
    find_base_url,
    is_loopback,
    mask_url,
    require_base_url,
)
from ftctl.config.credentials import (
    CREDENTIAL_VARIABLES,
    Credential,
    CredentialState,
    clean_key,
    credential_states,
    delete_key,
    find_credential,
    keep_key,
)
from ftctl.config.environment import (
    NETWORK_VARIABLES,
    direct_mounts,
    find_network_settings,
    quiet_environment,
    switch_off_telemetry,
)
from ftctl.config.keyrings import KeyringState, keyring_state
from ftctl.config.settings import Setting, Settings, load_settings, user_file

__all__ = [
    "BASE_URL_VARIABLES",
    "CREDENTIAL_VARIABLES",
    "NETWORK_VARIABLES",
    "Credential",
    "CredentialState",
    "KeyringState",
    "Setting",
    "Settings",
    "clean_key",
    "credential_states",
    "delete_key",
    "direct_mounts",
    "find_base_url",
    "find_credential",
    "find_network_settings",
    "is_loopback",
    "keep_key",
    "keyring_state",
    "load_settings",
    "mask_url",
    "quiet_environment",
    "require_base_url",
    "switch_off_telemetry",
    "user_file",
]
