// An ext_authz server as a team would write it with the usual libraries: verifies the bearer JWT, tells the backend
// three claims. The peer that our service is measured against; not for production.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	lru "github.com/hashicorp/golang-lru/v2"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

const (
	cachedTokens = 20_000
	clockSkew    = 5 * time.Second
)

type caller struct {
	jwt.Claims
	Email string `json:"email"`
	Name  string `json:"name"`
}

type server struct {
	auth.UnimplementedAuthorizationServer
	keys     jose.JSONWebKeySet
	issuer   string
	audience string
	cache    *lru.Cache[string, *caller] // nil: every token is verified each time
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "host:port of the gRPC listener")
	jwks := flag.String("jwks", "", "URL of the issuer's keys")
	issuer := flag.String("issuer", "", "expected iss")
	audience := flag.String("audience", "", "expected aud")
	cached := flag.Bool("cache", false, "remember verified tokens")
	flag.Parse()

	s := &server{keys: fetchKeys(*jwks), issuer: *issuer, audience: *audience}
	if *cached {
		s.cache, _ = lru.New[string, *caller](cachedTokens)
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	g := grpc.NewServer()
	auth.RegisterAuthorizationServer(g, s)
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

func fetchKeys(url string) (keys jose.JSONWebKeySet) {
	response, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&keys); err != nil {
		log.Fatal(err)
	}
	return keys
}

func (s *server) Check(_ context.Context, request *auth.CheckRequest) (*auth.CheckResponse, error) {
	header := request.GetAttributes().GetRequest().GetHttp().GetHeaders()["authorization"]
	token, isBearer := strings.CutPrefix(header, "Bearer ")
	if !isBearer {
		return unauthorized("no bearer token"), nil
	}
	who, err := s.identify(token)
	if err != nil {
		return unauthorized(err.Error()), nil
	}
	return &auth.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers: []*core.HeaderValueOption{
				set("x-user-sub", who.Subject), set("x-user-email", who.Email), set("x-user-name", who.Name),
			},
			HeadersToRemove: []string{"authorization"},
		}},
	}, nil
}

func (s *server) identify(token string) (*caller, error) {
	if s.cache == nil {
		return s.verify(token)
	}
	if who, found := s.cache.Get(token); found && who.ValidateWithLeeway(jwt.Expected{}, clockSkew) == nil {
		return who, nil
	}
	who, err := s.verify(token)
	if err == nil {
		s.cache.Add(token, who)
	}
	return who, err
}

func (s *server) verify(token string) (*caller, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return nil, err
	}
	who := &caller{}
	if err := parsed.Claims(s.keys, who); err != nil {
		return nil, err
	}
	expected := jwt.Expected{Issuer: s.issuer, AnyAudience: jwt.Audience{s.audience}}
	return who, who.ValidateWithLeeway(expected, clockSkew)
}

func set(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{
		Header:       &core.HeaderValue{Key: name, Value: value},
		AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

func unauthorized(why string) *auth.CheckResponse {
	return &auth.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.Unauthenticated)},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_Unauthorized}, Body: why,
		}},
	}
}
