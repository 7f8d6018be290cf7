package provider

// The plugin's server: the framework's, with what the framework lacks, and past it where
// it is too slow.

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/tunnelform/tunnelform/proxy/routefile"
)

// frameworkServer is all that the framework's server does.
type frameworkServer interface {
	tfprotov6.ProviderServer
	tfprotov6.ListResourceServer
	tfprotov6.ActionServer
}

// QuietUnlessLogged turns the SDK's trace messages off unless somebody wants to see
// logs: Terraform parses all of them, drops them, and so spends a tenth of a run.
func QuietUnlessLogged() {
	for _, name := range []string{"TF_LOG", "TF_LOG_PROVIDER", "TF_LOG_SDK"} {
		if os.Getenv(name) != "" {
			return
		}
	}
	os.Setenv("TF_LOG_SDK", "off")
}

type server struct{ frameworkServer }

// NewServer returns the constructor of the plugin's server.
func NewServer(version string) func() tfprotov6.ProviderServer {
	framework := providerserver.NewProtocol6(New(version)())
	return func() tfprotov6.ProviderServer { return server{framework().(frameworkServer)} }
}

// CallFunction calls encode with its argument as it comes. The framework would make
// values of it first, twice, which costs more than all the rest of encode.
func (s server) CallFunction(ctx context.Context, req *tfprotov6.CallFunctionRequest) (*tfprotov6.CallFunctionResponse, error) {
	if req.Name == encodeName && len(req.Arguments) == 1 {
		if plain, err := plainFromMsgpack(req.Arguments[0].MsgPack); err == nil {
			return encodeResponse(plain)
		}
	}
	return s.frameworkServer.CallFunction(ctx, req)
}

// ApplyResourceChange hands the plan's private data to Create.
func (s server) ApplyResourceChange(ctx context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	return s.frameworkServer.ApplyResourceChange(withPlannedPrivate(ctx, req.PlannedPrivate), req)
}

func encodeResponse(plain any) (*tfprotov6.CallFunctionResponse, error) {
	text, failed := encodeChecked(plain)
	if failed != nil {
		return &tfprotov6.CallFunctionResponse{Error: &tfprotov6.FunctionError{Text: failed.Text, FunctionArgument: failed.FunctionArgument}}, nil
	}
	value, err := tfprotov6.NewDynamicValue(tftypes.String, tftypes.NewValue(tftypes.String, text))
	return &tfprotov6.CallFunctionResponse{Result: &value}, err
}

// plainFromMsgpack decodes a value of any type. It ignores the type that comes before
// the value: plain values do not tell a list from a tuple.
func plainFromMsgpack(data []byte) (any, error) {
	d := msgpack.NewDecoder(bytes.NewReader(data))
	if n, err := d.DecodeArrayLen(); err != nil || n != 2 {
		return nil, errUnsupported
	}
	if _, err := d.DecodeBytes(); err != nil {
		return nil, err
	}
	return decodeMsgpack(d)
}

// errUnsupported leaves a value, such as an unknown one, to the framework.
var errUnsupported = errors.New("unsupported encoding")

func decodeMsgpack(d *msgpack.Decoder) (any, error) {
	code, err := d.PeekCode()
	if err != nil {
		return nil, err
	}
	switch {
	case code == msgpcode.Nil:
		return nil, d.DecodeNil()
	case code == msgpcode.True, code == msgpcode.False:
		return d.DecodeBool()
	case msgpcode.IsString(code):
		return d.DecodeString()
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		return decodeMsgpackMap(d)
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		return decodeMsgpackArray(d)
	case code == msgpcode.Float, code == msgpcode.Double:
		number, err := d.DecodeFloat64()
		return plainNumber(big.NewFloat(number)), err
	case msgpcode.IsFixedNum(code), code >= msgpcode.Uint8 && code <= msgpcode.Int64:
		return d.DecodeInt64()
	}
	return nil, errUnsupported
}

func decodeMsgpackMap(d *msgpack.Decoder) (any, error) {
	n, err := d.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	all := make(routefile.Plain, n)
	for range n {
		name, err := d.DecodeString()
		if err != nil {
			return nil, err
		}
		one, err := decodeMsgpack(d)
		if err != nil {
			return nil, err
		}
		if one != nil {
			all[name] = one
		}
	}
	return all, nil
}

func decodeMsgpackArray(d *msgpack.Decoder) (any, error) {
	n, err := d.DecodeArrayLen()
	if err != nil {
		return nil, err
	}
	all := make([]any, 0, n)
	for range n {
		one, err := decodeMsgpack(d)
		if err != nil {
			return nil, err
		}
		if one != nil {
			all = append(all, one)
		}
	}
	return all, nil
}
