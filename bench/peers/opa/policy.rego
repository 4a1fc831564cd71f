package envoy.authz

default result := {"allowed": false}

result := {"allowed": true, "headers": headers} if headers

headers := {"x-user-sub": claims.sub, "x-user-email": claims.email, "x-user-name": claims.name}

claims := payload if {
	startswith(input.headers.authorization, "Bearer ")
	token := substring(input.headers.authorization, 7, -1)
	[valid, _, payload] := io.jwt.decode_verify(token, {"cert": data.jwks, "iss": data.issuer, "aud": data.audience})
	valid
}
