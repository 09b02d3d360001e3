// Reads dashboards by the types that Grafana publishes for them, and says where one has a field that Grafana does
// not know, lacks one that Grafana writes, or has one of another type:   schema FILE…
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// With nothing found, the strict reader and Validate return an empty list, which is not nil.
func unlessEmpty(err error) error {
	var found cog.BuildErrors
	if errors.As(err, &found) && len(found) == 0 {
		return nil
	}
	return err
}

func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var board dashboard.Dashboard
	if err := unlessEmpty(board.UnmarshalJSONStrict(text)); err != nil {
		return err
	}
	return unlessEmpty(board.Validate())
}

func main() {
	plugins.RegisterDefaultPlugins() // the types of panels and of Prometheus' queries
	status := 0
	for _, path := range os.Args[1:] {
		if err := check(path); err != nil {
			fmt.Fprintf(os.Stderr, "%s:\n%v\n", path, err)
			status = 1
		}
	}
	os.Exit(status)
}
