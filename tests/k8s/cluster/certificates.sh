# shellcheck shell=bash
# The cluster's certificates and kubeconfigs, made for one run. Sourced by run.sh; needs WORK.

make_authority() {
    mkdir -p "$PKI"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 2 -subj /CN=cluster \
        -keyout "$PKI/ca.key" -out "$PKI/ca.crt" 2>/dev/null
    # Tokens of service accounts are signed with this one.
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$PKI/tokens.key" 2>/dev/null
}

certificate() { # NAME SUBJECT [ALTERNATIVE-NAMES]
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "$2" -keyout "$PKI/$1.key" \
        -out "$PKI/$1.csr" 2>/dev/null
    openssl x509 -req -in "$PKI/$1.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 2 \
        -extfile <(echo 'extendedKeyUsage = clientAuth, serverAuth'
            [ $# -lt 3 ] || echo "subjectAltName = $3") -out "$PKI/$1.crt" 2>/dev/null
}

# A client of the API server: its certificate and $WORK/NAME.conf.
client() { # NAME SUBJECT
    certificate "$1" "$2"
    cat >"$WORK/$1.conf" <<CONF
apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://$NETWORK.1:6443", certificate-authority: $PKI/ca.crt}}]
users: [{name: test, user: {client-certificate: $PKI/$1.crt, client-key: $PKI/$1.key}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
CONF
}
