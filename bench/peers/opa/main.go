// An ext_authz server that lets OPA's Go library judge the bearer JWT by a Rego policy, as opa-envoy-plugin does (that
// module itself has no version with a checksum to install). It writes no decision log. Not for production.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

//go:embed policy.rego
var policy string

type server struct {
	auth.UnimplementedAuthorizationServer
	query rego.PreparedEvalQuery
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "host:port of the gRPC listener")
	jwks := flag.String("jwks", "", "URL of the issuer's keys")
	issuer := flag.String("issuer", "", "expected iss")
	audience := flag.String("audience", "", "expected aud")
	flag.Parse()

	facts := inmem.NewFromObject(map[string]any{"jwks": fetch(*jwks), "issuer": *issuer, "audience": *audience})
	query, err := rego.New(
		rego.Query("data.envoy.authz.result"),
		rego.Module("policy.rego", policy),
		rego.Store(facts),
	).PrepareForEval(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	g := grpc.NewServer()
	auth.RegisterAuthorizationServer(g, &server{query: query})
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-stop
		g.Stop()
	}()
	fmt.Println("listening on", listener.Addr())
	if err := g.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

func fetch(url string) string {
	response, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	return string(text)
}

func (s *server) Check(ctx context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	http := request.GetAttributes().GetRequest().GetHttp()
	input := map[string]any{"method": http.GetMethod(), "path": http.GetPath(), "headers": http.GetHeaders()}
	results, err := s.query.Eval(ctx, rego.EvalInput(input))
	if err != nil {
		return nil, err
	}
	if len(results) == 1 {
		if result, isMap := results[0].Expressions[0].Value.(map[string]any); isMap && result["allowed"] == true {
			return allowed(result["headers"].(map[string]any)), nil
		}
	}
	return &auth.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.Unauthenticated)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_Unauthorized},
		}},
	}, nil
}

func allowed(headers map[string]any) *auth.CheckResponse {
	ok := &auth.OkHttpResponse{HeadersToRemove: []string{"authorization"}}
	for name, value := range headers {
		ok.Headers = append(ok.Headers, &core.HeaderValueOption{
			Header:       &core.HeaderValue{Key: name, Value: fmt.Sprint(value)},
			AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	return &auth.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: ok},
	}
}
