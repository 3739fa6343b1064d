# Read this file into your shell (`. examples/livius.sh`), and the examples run against your Livius.
# For Fabric, set FABRIC_TENANT_ID, FABRIC_CLIENT_ID, FABRIC_CLIENT_SECRET, FABRIC_WORKSPACE_ID and
# FABRIC_LAKEHOUSE_ID yourself instead: addresses are Fabric's unless they are named.

connection="${LIVIUS_HOME:-.livius}/connection.json"
if ! [ -r "$connection" ]; then
    echo "$connection can't be read. Start Livius (livius up), and set LIVIUS_HOME to its data folder." >&2
    return 1
fi
fact() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$connection" "$1"; }

export FABRIC_API="$(fact api)/v1"
export FABRIC_AUTHORITY="$(fact authority)"
export FABRIC_TENANT_ID="$(fact tenant_id)"
export FABRIC_CLIENT_ID="$(fact client_id)"
export FABRIC_CLIENT_SECRET="$(fact client_secret)"
export FABRIC_WORKSPACE_ID="$(fact workspace_id)"
export FABRIC_LAKEHOUSE_ID="$(fact lakehouse_id)"
# dbt keeps variables with this beginning out of its logs.
export DBT_ENV_SECRET_CLIENT="$FABRIC_CLIENT_SECRET"
# Programs that use requests or curl trust the gateway's certificate through these.
export REQUESTS_CA_BUNDLE="$(fact ca_file)" CURL_CA_BUNDLE="$(fact ca_file)"
