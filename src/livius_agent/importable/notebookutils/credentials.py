"""Tokens and secrets. All outputs show [REDACTED] in their place."""

import base64
import json
import time

from livius_agent import notebook as _notebook
from notebookutils._missing import missing as _missing


def getToken(audience: str) -> str:
    """Give a token for storage, pbi, keyvault, kusto, sql, datalake, or for a URL of these.

    It needs the scope that opens the audience (Code.Access….All). A token lasts an hour; ask for a
    new one then.
    """
    return str(_notebook.ask("token", audience=_text(audience))["value"])


def getSecret(akvName: str, secret: str) -> str:
    """Give a secret of a vault, by the vault's name or URL.

    It needs the scope Code.AccessAzureKeyvault.All.
    """
    return str(_notebook.ask("secret", vault=_text(akvName), name=_text(secret))["value"])


def isValidToken(token: str) -> bool:
    """Tell whether a token has the form of one and has not expired.

    Its receiver checks the signature.
    """
    try:
        _, payload, _ = token.split(".")
        padded = payload + "=" * (-len(payload) % 4)
        claims = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        now = time.time()
        return float(claims.get("nbf", 0)) <= now < float(claims["exp"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"A text is needed, not {type(value).__name__}.")
    return value


putSecret = _missing("credentials.putSecret", "use livius secret set, or the vault itself")
getConnectionStringOrCreds = _missing(
    "credentials.getConnectionStringOrCreds", "there are no linked services. Use a vault"
)

help = _notebook.helper(globals(), ("getToken", "getSecret", "isValidToken"))
