#!/usr/bin/env bash
# Ecrin by hand: curl and openssl, nothing else. docs/api.md quotes it, tests/docs/test_docs_walkthrough.py runs it.
#
# Needs a running server and its operator's shell: ECRIN_* settings as the server's, `ecrin` on the path (or in $ECRIN).
# Works in a folder of its own, given as the only argument.
set -euo pipefail
umask 077
cd "$1"
ecrin=${ECRIN:-ecrin}
vault=${ECRIN_PUBLIC_URL:-http://127.0.0.1:8420}

### 1. A key, and its registration
openssl ecparam -name prime256v1 -genkey -noout -out key.pem

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# The last 64 bytes of the public key are its coordinates.
x=$(openssl ec -in key.pem -pubout -outform DER 2>/dev/null | tail -c 64 | head -c 32 | base64url)
y=$(openssl ec -in key.pem -pubout -outform DER 2>/dev/null | tail -c 32 | base64url)
jwk='{"crv":"P-256","kty":"EC","x":"'$x'","y":"'$y'"}'
echo '{"keys":[{"kid":"k1",'"${jwk:1}"']}' > public.json

$ecrin system add walkthrough-till --brand aurelle --jwks public.json \
  --scope lookup --scope subject.write --scope consent.write \
  --purpose clienteling.in_store --purpose service.repair

### 2. Two signatures: who asks, and with which key
# ES256 wants the two numbers bare; openssl wraps them in DER.
sign() {
  local der r s
  der=$(printf %s "$1" | openssl dgst -sha256 -sign key.pem | openssl asn1parse -inform DER)
  r=$(sed -n '2s/.*://p' <<< "$der") s=$(sed -n '3s/.*://p' <<< "$der")
  printf "$(printf '%64s%64s' "$r" "$s" | tr ' ' 0 | sed 's/../\\x&/g')" | base64url
}

jwt() { # header, claims
  local head
  head=$(printf %s "$1" | base64url).$(printf %s "$2" | base64url)
  printf %s "$head.$(sign "$head")"
}

assertion() { # private_key_jwt: good once, for our issuer alone
  local now
  now=$(date +%s)
  jwt '{"alg":"ES256","kid":"k1"}' '{"iss":"walkthrough-till","sub":"walkthrough-till","aud":"'$vault'",
    "iat":'$now',"exp":'$((now + 60))',"jti":"'$(openssl rand -hex 16)'"}'
}

nonce=
proof() { # DPoP, for one request: method, path, and the token it comes with; with the server's nonce, once there is one
  local more=
  [ -z "${3-}" ] || more=',"ath":"'$(printf %s "$3" | openssl dgst -sha256 -binary | base64url)'"'
  [ -z "$nonce" ] || more+=',"nonce":"'$nonce'"'
  jwt '{"typ":"dpop+jwt","alg":"ES256","jwk":'"$jwk"'}' '{"htm":"'$1'","htu":"'$vault$2'",
    "iat":'$(date +%s)',"jti":"'$(openssl rand -hex 16)'"'$more'}'
}

### 3. Tokens
ask() { # a form parameter: scope=… or authorization_details=…
  curl -sS -D headers "$vault/oauth/token" -H "DPoP: $(proof POST /oauth/token)" \
    -d grant_type=client_credentials \
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    -d client_assertion="$(assertion)" \
    --data-urlencode "$1"
  echo
}

send() { # method, path, token, body
  curl -sS -X "$1" "$vault$2" -H "Authorization: DPoP $3" -H "DPoP: $(proof "$1" "$2" "$3")" \
    -H 'Content-Type: application/json' ${4:+-d "$4"}
  echo
}

member() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p'; }

ask 'scope=lookup subject.write consent.write'
nonce=$(sed -n 's/^dpop-nonce: *//Ip' headers | tr -d '\r')

ask 'scope=lookup subject.write consent.write' | tee answer
service=$(member access_token < answer)

### 4. A person is registered, and found again
send POST /v1/subjects "$service" '{"region":"fr","fields":{
  "name":{"family":"Rousselin","given":"Apolline"},
  "phone":["+33 6 39 98 12 34"], "birth_date":"1984-05-17", "ring_size":{"value":"52","system":"eu"}}}' > /dev/null

send POST /v1/subjects/search "$service" '{"by":"phone","value":"06 39 98 12 34"}' | tee answer
send POST /v1/subjects/search "$service" '{"by":"phone","value":"+33639981234"}' | tee answer
reference=$(member reference < answer)

### 5. Nothing without consent
details() { # purpose, then what is asked
  printf 'authorization_details=[{"type":"urn:ecrin:disclosure:v1","subject":"%s","purpose":"%s","fields":[%s]}]' \
    "$reference" "$1" "$2"
}
wish='{"name":"phone","level":"masked"},{"name":"birth_date","level":"raw"},{"name":"ring_size","level":"presence"}'

ask "$(details clienteling.in_store "$wish")"

send POST /v1/consents "$service" '{"reference":"'"$reference"'","purpose":"clienteling","channel":"in_store",
  "notice":{"id":"clienteling","version":1,"language":"fr"}}'

### 6. Just enough
ask "$(details clienteling.in_store "$wish")" | tee answer
token=$(member access_token < answer)

send POST /v1/disclosures "$token" '{}' | tee answer
cp answer disclosed

### 7. No more than was granted
send POST /v1/disclosures "$token" '{}'

send POST /v1/consents/withdraw "$service" '{"reference":"'"$reference"'","purpose":"clienteling","channel":"in_store"}'
ask "$(details clienteling.in_store "$wish")"

### 8. The receipt and the log
curl -sS "$vault/audit/keys" | tee keys
echo

# The receipt is a signed note: text, empty line, signature line. In JSON its line feeds are written \n.
receipt=$(member receipt < disclosed)
printf '%b\n' "${receipt%%'\n\n'*}" | tee receipt.txt

ed25519() { # name+id+base64: the public key in it, as openssl reads it
  local key=${1#*+}
  { printf '\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00'; openssl base64 -d -A <<< "${key#*+}" | tail -c 32; } |
    openssl pkey -pubin -inform DER
}
ed25519 "$(member receipt < keys)" > receipt.pem
printf '%b' "$receipt" | sed -n '$s/.* //p' | openssl base64 -d -A | tail -c 64 > receipt.sig
openssl pkeyutl -verify -pubin -inkey receipt.pem -rawin -in receipt.txt -sigfile receipt.sig

sleep 2 # a checkpoint is signed each second
curl -sS "$vault/audit/checkpoint" | tee checkpoint
$ecrin audit verify --pinned checkpoint
