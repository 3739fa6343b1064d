#!/usr/bin/env bash
# A Spark session on Fabric or Livius with curl and jq. The variables are those of session.py.
set -euo pipefail

authority="${FABRIC_AUTHORITY:-https://login.microsoftonline.com/$FABRIC_TENANT_ID}"
sessions="${FABRIC_API:-https://api.fabric.microsoft.com/v1}/workspaces/$FABRIC_WORKSPACE_ID"
sessions+="/lakehouses/$FABRIC_LAKEHOUSE_ID/livyapi/versions/2023-12-01/sessions"

# Secrets go to curl by its standard input, so that no list of processes shows them.
token=$(curl --silent --show-error --fail-with-body --config - <<END | jq --raw-output .access_token
url = "$authority/oauth2/v2.0/token"
data = "grant_type=client_credentials&client_id=$FABRIC_CLIENT_ID"
data = "scope=https://api.fabric.microsoft.com/.default"
data-urlencode = "client_secret=$FABRIC_CLIENT_SECRET"
END
)

call() { # METHOD URL [BODY]
    curl --silent --show-error --fail-with-body --config - --request "$1" "$2" \
        --header 'Content-Type: application/json' ${3:+--data "$3"} <<<"header = \"Authorization: Bearer $token\""
}

session="$sessions/$(call POST "$sessions" '{"name": "example"}' | jq --raw-output .id)"
trap 'call DELETE "$session" >/dev/null && echo "The session is deleted."' EXIT
until [ "$(state=$(call GET "$session") && jq --raw-output .state <<<"$state")" = idle ]; do
    echo "The session starts."
    sleep 2
done

body=$(jq --null-input '{kind: "sql", code: "SELECT id, id * id AS square FROM range(3)"}')
statement="$session/statements/$(call POST "$session/statements" "$body" | jq .id)"
until found=$(call GET "$statement") && [ "$(jq --raw-output .state <<<"$found")" = available ]; do
    sleep 1
done
jq --compact-output '.output | if .status == "ok" then .data["application/json"].data[] else .evalue end' <<<"$found"
