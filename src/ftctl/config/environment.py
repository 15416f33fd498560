"""Variables that libraries read: those of the network, and those that keep them to themselves."""

import os

from ftctl.config.addresses import is_loopback, mask_url


def quiet_environment() -> dict[str, str]:
    """Variables that switch off the telemetry of the libraries we use, and code from a hub."""
    return {
        # bitsandbytes would fetch this compiled kernel and load it as soon as it is imported, which
        # peft does; a place where it isn't makes it use its own. Source: bitsandbytes 0.50.2.
        "LOCAL_KERNELS": "kernels-community/quantization-bitsandbytes=none",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DISABLE_TELEMETRY": "1",  # what older Hugging Face libraries look at
        "DO_NOT_TRACK": "1",
        "MISTRAL_SDK_TELEMETRY": "false",
    }


def switch_off_telemetry() -> None:
    """Set these variables in this process; to be called before a library reads them."""
    os.environ.update(quiet_environment())


# Read by the HTTP clients of every vendor; we pass them on and show them, and set none.
NETWORK_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


def find_network_settings() -> dict[str, str]:
    """The proxy and certificate variables that are set, credentials in them masked."""
    names = [form for name in NETWORK_VARIABLES for form in (name, name.lower())]
    return {name: mask_url(os.environ[name]) for name in names if os.environ.get(name)}


def direct_mounts(url: str) -> dict[str, None] | None:
    """The `mounts` of an httpx2 client that is to ask this URL.

    What is on this machine is never asked through a proxy: rows and key would leave it.
    """
    return dict.fromkeys(("all://", "http://", "https://")) if is_loopback(url) else None
