"""Personal access tokens, in a dictionary."""

from collections.abc import Sequence

from fakes.store.records import Records
from livius.domain.audit import AuditEntry
from livius.domain.personal_token import PersonalToken


class MemoryPersonalTokens(Records):
    async def add_personal_token(
        self, token: PersonalToken, *, audit: AuditEntry | None = None
    ) -> None:
        self._write(audit)
        self._personal_tokens[token.digest] = token

    async def personal_token(self, digest: str) -> PersonalToken | None:
        return self._personal_tokens.get(digest)

    async def list_personal_tokens(self) -> Sequence[PersonalToken]:
        return sorted(self._personal_tokens.values(), key=lambda one: (one.created_at, one.id))

    async def remove_personal_token(self, token: str, *, audit: AuditEntry | None = None) -> bool:
        found = [one for one in self._personal_tokens.values() if one.id == token]
        for one in found:
            del self._personal_tokens[one.digest]
        return self._write_if(bool(found), audit)
