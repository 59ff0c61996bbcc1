module opens

go 1.21

require software.sslmate.com/src/go-pkcs12 v0.5.0

require golang.org/x/crypto v0.11.0 // indirect
