#!/bin/sh
# A new user's afternoon, by command line alone, on the sandbox that npm start runs:
#   STATE=.gatesmith SERVER=http://127.0.0.1:4000 TLS=8443 examples/afternoon.sh
# HOSTS is another file than mine.yaml, for another cluster than `sandbox`.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
PATH=$here/../bin:$PATH
state=${STATE:-.gatesmith}
hosts=${HOSTS:-$here/mine.yaml}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export GATESMITH_CONFIG="$work/config.json"

echo "1. Log in"
gatesmith login "${SERVER:-http://127.0.0.1:4000}" --token-file "$state/token" -t example

echo "2. Three hosts out of a file: seen first, then served"
gatesmith delete host/mine.example.com host/hello.example.com host/through.example.com 2> "$work/none" || true
gatesmith wait host/mine.example.com host/hello.example.com host/through.example.com --for Removed
if gatesmith diff -f "$hosts" > "$work/diff"; then echo "nothing differs, which is wrong"; exit 1; fi
gatesmith plan -f "$hosts"
gatesmith apply -f "$hosts" --wait
gatesmith diff -f "$hosts"
gatesmith probe hello.example.com

echo "3. A client certificate opens the door"
gatesmith issue --profile client --cn laptop --dns laptop.example.com --out "$work/laptop.pem" -o name > "$work/id"
knock() {
  curl -sS -o /dev/null --resolve "mine.example.com:${TLS:-8443}:127.0.0.1" --cacert "$state/ca.crt" \
    --cert "$work/laptop.pem" "https://mine.example.com:${TLS:-8443}/get" 2> "$work/refused"
}
knock

echo "4. A renewal"
before=$(gatesmith get host/hello.example.com -o json | grep -m 1 '"serial"')
gatesmith renew host/hello.example.com
gatesmith wait host/hello.example.com --for Synced
test "$before" != "$(gatesmith get host/hello.example.com -o json | grep -m 1 '"serial"')"

echo "5. A revocation, and the gateway refuses the client"
gatesmith revoke "$(cat "$work/id")" --reason superseded
tries=0
while knock; do
  tries=$((tries + 1))
  test "$tries" -lt 60
  sleep 1
done

echo "6. What ends in the next hundred days, by GraphQL"
gatesmith graphql '{ expiringCertificates(within: "P100D") { items { dnsNames notAfter } } }' > "$work/expiring"
grep -q hello.example.com "$work/expiring"

echo "7. The audit trail, away from the service"
gatesmith audit --limit 5
gatesmith audit --export > "$work/events"
gatesmith audit verify "$work/events"

echo "8. Tidy up"
gatesmith delete host/mine.example.com host/hello.example.com host/through.example.com
gatesmith wait host/mine.example.com host/hello.example.com host/through.example.com --for Removed
echo "Done"
