package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// plentyOfRoutes is a document of n routes as terraform sends it.
func plentyOfRoutes(n int) tftypes.Value {
	routes := map[string]tftypes.Value{}
	for i := range n {
		name := fmt.Sprintf("tenant-%05d", i)
		routes[name] = objectOfAny(map[string]tftypes.Value{
			"match":    objectOfAny(map[string]tftypes.Value{"host": text(name + ".example.com"), "path_prefix": text("/socket/")}),
			"to":       text("ws://10.0.0.1:9000/" + name + "/"),
			"timeouts": objectOfAny(map[string]tftypes.Value{"idle": text("10m")}),
		})
	}
	return objectOfAny(map[string]tftypes.Value{"routes": objectOfAny(routes)})
}

func objectOfAny(members map[string]tftypes.Value) tftypes.Value {
	kinds := map[string]tftypes.Type{}
	for name, v := range members {
		kinds[name] = v.Type()
	}
	return tftypes.NewValue(tftypes.Object{AttributeTypes: kinds}, members)
}

// BenchmarkEncode is one call of encode with 5,000 routes, from the wire to the wire.
func BenchmarkEncode(b *testing.B) {
	server := NewServer("test")()
	argument, err := tfprotov6.NewDynamicValue(tftypes.DynamicPseudoType, plentyOfRoutes(5000))
	if err != nil {
		b.Fatal(err)
	}
	f := server.(tfprotov6.FunctionServer)
	for b.Loop() {
		got, err := f.CallFunction(b.Context(), &tfprotov6.CallFunctionRequest{Name: "encode", Arguments: []*tfprotov6.DynamicValue{&argument}})
		if err != nil || got.Error != nil {
			b.Fatal(err, got.Error)
		}
	}
}
