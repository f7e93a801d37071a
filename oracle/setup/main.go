// Command setup fetches what package oracle needs: the Perfetto engine and playwright-core. `make oracle` runs it.
package main

import (
	"fmt"
	"os"

	"gilscope/oracle"
)

func main() {
	if err := oracle.Setup(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}
