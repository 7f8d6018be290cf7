package provider

import (
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

func number(f *big.Float) tftypes.Value { return tftypes.NewValue(tftypes.Number, f) }

// encode gives the same result past the framework as through it.
func TestEncodePastFramework(t *testing.T) {
	huge, _, _ := big.ParseFloat("123456789012345678901234567890", 10, 512, big.ToNearestEven)
	tenth, _, _ := big.ParseFloat("0.1", 10, 512, big.ToNearestEven)
	limits := func(v tftypes.Value) tftypes.Value {
		return objectOfAny(map[string]tftypes.Value{"routes": objectOfAny(map[string]tftypes.Value{"a": objectOfAny(map[string]tftypes.Value{
			"to": text("ws://h"), "match": objectOfAny(map[string]tftypes.Value{"priority": v}), "limits": objectOfAny(map[string]tftypes.Value{"handshakes_per_second": v})})})})
	}
	stringMap := tftypes.NewValue(tftypes.Map{ElementType: tftypes.String}, map[string]tftypes.Value{"X": text("y"), "Z": tftypes.NewValue(tftypes.String, nil)})
	match := func(name string, v tftypes.Value) tftypes.Value {
		return objectOfAny(map[string]tftypes.Value{"routes": objectOfAny(map[string]tftypes.Value{"a": objectOfAny(map[string]tftypes.Value{
			"to": text("ws://h"), "strict": tftypes.NewValue(tftypes.Bool, true), "match": objectOfAny(map[string]tftypes.Value{name: v})})})})
	}
	for name, value := range map[string]tftypes.Value{
		"many routes":    plentyOfRoutes(20),
		"a whole number": limits(number(big.NewFloat(5))),
		"a negative one": limits(number(big.NewFloat(-500000))),
		"a half":         limits(number(big.NewFloat(0.5))),
		"a tenth":        limits(number(tenth)),
		"a huge number":  limits(number(huge)),
		"a large number": limits(number(big.NewFloat(1 << 40))),
		"a map":          match("headers", stringMap),
		"a list":         match("methods", texts("GET", "POST")),
		"a tuple":        match("methods", tftypes.NewValue(tftypes.Tuple{ElementTypes: []tftypes.Type{tftypes.String}}, []tftypes.Value{text("GET")})),
		"a set":          match("methods", tftypes.NewValue(tftypes.Set{ElementType: tftypes.String}, []tftypes.Value{text("GET")})),
		"a long text":    match("path", text("/"+strings.Repeat("a", 70000))),
		"a null":         match("path", tftypes.NewValue(tftypes.DynamicPseudoType, nil)),
		"an unknown key": match("cilent", texts("10.0.0.0/8")),
		"no object":      text("x"),
		"nothing":        tftypes.NewValue(tftypes.DynamicPseudoType, nil),
		"unknown":        match("path", tftypes.NewValue(tftypes.String, tftypes.UnknownValue)),
	} {
		argument, err := tfprotov6.NewDynamicValue(tftypes.DynamicPseudoType, value)
		if err != nil {
			t.Fatal(name, err)
		}
		req := &tfprotov6.CallFunctionRequest{Name: encodeName, Arguments: []*tfprotov6.DynamicValue{&argument}}
		got, err := NewServer("test")().CallFunction(t.Context(), req)
		if got != nil && got.Error != nil {
			got.Result = nil // the framework gives one that is unknown
		}
		want, wantErr := providerserver.NewProtocol6(New("test")())().CallFunction(t.Context(), req)
		if want != nil && want.Error != nil {
			want.Result = nil // the framework gives one that is unknown
		}
		if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v (%v)\nthrough the framework: %+v (%v)", name, got, err, want, wantErr)
		}
		if _, err := plainFromMsgpack(argument.MsgPack); (err != nil) != (name == "unknown" || name == "nothing") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
