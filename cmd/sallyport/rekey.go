package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/trust"
)

// rekeyWithin bounds a change of the store's master key.
const rekeyWithin = 30 * time.Minute

func newApplianceRekey() *cobra.Command {
	var p place
	change := appliance.StoreKeyChange{}
	c := &cobra.Command{
		Use:   "rekey",
		Short: "Change the store's master key",
		Long: `Encrypts everything secret in the store anew, under a new master key. Until now it is derived from the
enterprise's keys; from now on it is one of its own, in enterprise.keys. It is kept there before anything is
under it, so an interruption loses nothing: run the command again.

Stop the appliance before, start it afterwards, and back up enterprise.keys at once. Keep the earlier copy of
enterprise.keys as long as backups of the database from before: they open with that one only.

Appliances that share the store need the new key. Start this one, and for each of them run 'sallyport appliance
invite' here and 'sallyport appliance join --again' there; until then they let nobody in.`,
		Example: `  sallyport appliance rekey
  sallyport appliance rekey --config /etc/sallyport/appliance.yaml --others-join-again`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := fill(c); err != nil {
				return err
			}
			t, err := trust.Load(p.data)
			if err != nil {
				return err
			}
			change.DataDir, change.Store, change.Appliance, change.Actor = p.data, p.store, t.Appliance, atTerminal()
			ctx, cancel := context.WithTimeout(c.Context(), rekeyWithin)
			defer cancel()
			if err := appliance.ChangeStoreKey(ctx, change); err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "The store is under a new master key. Back up enterprise.keys, and start the appliance again.")
			return err
		},
	}
	p.admin(c)
	c.Flags().BoolVar(&change.OthersJoinAgain, "others-join-again", false, "the store is shared: cut the other appliances off until they have joined again")
	return c
}
