// A certificate for localhost and 127.0.0.1, signed by itself and good for a hundred years, for servers of tests that speak TLS. Nobody
// else trusts it, and its key is no secret.

export const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUOerr806sPbvvBeagId7NDlT/XvgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTE5Mzg1NloYDzIxMjYxMDI4
MTkzODU2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAStV5oaYSJIKfMaHNas9jyc7RHfbKjop1lzSNoHTZpPATR2cSgBOivg
3opE6PXzFivxtVgifJLTT2R2SOSW8/6oo28wbTAdBgNVHQ4EFgQUyUg5GEo7hJg8
eADqegnah7+ZYBQwHwYDVR0jBBgwFoAUyUg5GEo7hJg8eADqegnah7+ZYBQwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAKUV0Bwqn1ZamqBSSFdP20QZyqug7i44g+URA691SQ9sAiEA
pPduFtgjGJ/zunV4DRsnntJAjMzWG+i03xvcumTgR0o=
-----END CERTIFICATE-----
`;

export const CERTIFICATE_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgizCrABd5ZWp1Ki6D
l6RZk9wyD02IKfghd0BvSrTHjimhRANCAAStV5oaYSJIKfMaHNas9jyc7RHfbKjo
p1lzSNoHTZpPATR2cSgBOivg3opE6PXzFivxtVgifJLTT2R2SOSW8/6o
-----END PRIVATE KEY-----
`;
