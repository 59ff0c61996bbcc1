package main

import (
	"fmt"
	"os"

	"software.sslmate.com/src/go-pkcs12"
)

func main() {
	octets, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	key, certificate, chain, err := pkcs12.DecodeChain(octets, os.Args[2])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Printf("%T %s %d\n", key, certificate.Subject.CommonName, len(chain))
}
