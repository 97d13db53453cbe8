// SPDX-License-Identifier: Apache-2.0

/** Of CN=reg.example, from 2020 to 2021: openssl of Debian 12 makes none that has ended. */
export const endedCertificate = `-----BEGIN CERTIFICATE-----
MIIBEzCBugIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtyZWcuZXhhbXBsZTAe
Fw0yMDAxMDEwMDAwMDBaFw0yMTAxMDEwMDAwMDBaMBYxFDASBgNVBAMMC3JlZy5l
eGFtcGxlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyvuP/m0u6N0Y8ZZIdYFe
u7MmIj4X90+J0leig8DNO5cbux8jd995nGlro4PoVkfToh/9S4tLpug8GkhvvpRZ
DTAKBggqhkjOPQQDAgNIADBFAiEA6UukJVswonC/PelhYXADmVFak1vdlLjgXUtD
58zWm0oCIBHed/AiUmXLQo4kj2uF0jGx5oo50DVVQBrxMuRZhms1
-----END CERTIFICATE-----
`;
