// Runs the verifier of the docs over cases: JSON on standard input, a verdict for each on standard output.
package main

import (
	"encoding/json"
	"log"
	"os"

	"example.com/verify/assertion"
)

func main() {
	var cases []struct {
		Assertion, Method string
		Body              []byte
	}
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		log.Fatal(err)
	}
	verdicts := make([]*string, len(cases))
	for i, one := range cases {
		if _, err := assertion.Verify(one.Assertion, one.Method, one.Body); err != nil {
			text := err.Error()
			verdicts[i] = &text
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		log.Fatal(err)
	}
}
