// SPDX-License-Identifier: Apache-2.0
//
// Pub/Sub's HTTP API for tests: pubsub PORT KEY_FILE... There is no emulator of it in any registry of
// packages, but the fake with which Google tests its own client for Go: a server over gRPC. This
// gives it the API over HTTP, as Google's API definition says: paths and bodies are those of the
// annotations in it, and JSON is read strictly, so what is no part of the API is an error. It is
// checked nowhere against the service itself.
//
// Each KEY_FILE is a service account's key as Google gives it, whose token_uri this server answers;
// it gives a token for a statement that was signed with that key. The accounts called "poor..." may
// only receive.
package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

const pubsubScope = "https://www.googleapis.com/auth/pubsub"

// ---- the API -----------------------------------------------------------------------------------

type route struct {
	verb    string
	path    *regexp.Regexp
	fields  []string
	hasBody bool
	method  protoreflect.MethodDescriptor
}

var variable = regexp.MustCompile(`\{([a-z_.]+)=([^}]*)\}`)

// "/v1/{name=projects/*/topics/*}:publish"
func compile(verb, template string, body string, method protoreflect.MethodDescriptor) route {
	r := route{verb: verb, hasBody: body == "*", method: method}
	pattern, at := "^", 0
	for _, m := range variable.FindAllStringSubmatchIndex(template, -1) {
		pattern += regexp.QuoteMeta(template[at:m[0]])
		r.fields = append(r.fields, template[m[2]:m[3]])
		inner := regexp.QuoteMeta(template[m[4]:m[5]])
		pattern += "(" + strings.ReplaceAll(inner, `\*`, "[^/:]+") + ")"
		at = m[1]
	}
	r.path = regexp.MustCompile(pattern + regexp.QuoteMeta(template[at:]) + "$")
	return r
}

func routesOf(service protoreflect.ServiceDescriptor) (routes []route) {
	for i := 0; i < service.Methods().Len(); i++ {
		method := service.Methods().Get(i)
		rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
		if rule == nil {
			continue
		}
		for _, one := range append([]*annotations.HttpRule{rule}, rule.AdditionalBindings...) {
			for verb, template := range map[string]string{"GET": one.GetGet(), "PUT": one.GetPut(),
				"POST": one.GetPost(), "DELETE": one.GetDelete()} {
				if template != "" {
					routes = append(routes, compile(verb, template, one.Body, method))
				}
			}
		}
	}
	return routes
}

func set(message protoreflect.Message, name, value string) error {
	field := message.Descriptor().Fields().ByName(protoreflect.Name(name))
	if field == nil {
		field = message.Descriptor().Fields().ByJSONName(name)
	}
	if field == nil {
		return status.Errorf(codes.InvalidArgument, "there is no field %q", name)
	}
	switch field.Kind() {
	case protoreflect.StringKind:
		message.Set(field, protoreflect.ValueOfString(value))
	case protoreflect.Int32Kind:
		var number int32
		if _, err := fmt.Sscan(value, &number); err != nil {
			return status.Errorf(codes.InvalidArgument, "%q is no number", value)
		}
		message.Set(field, protoreflect.ValueOfInt32(number))
	default:
		return status.Errorf(codes.InvalidArgument, "%q cannot be in a query", name)
	}
	return nil
}

func newMessage(descriptor protoreflect.MessageDescriptor) protoreflect.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		log.Fatal(err)
	}
	return kind.New()
}

// What is asked for, as a message of the API.
func (r *route) read(found []string, request *http.Request) (proto.Message, error) {
	in := newMessage(r.method.Input())
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 && !r.hasBody {
		return nil, status.Error(codes.InvalidArgument, "there is a body")
	}
	if len(body) > 0 && !strings.HasPrefix(request.Header.Get("Content-Type"), "application/json") {
		return nil, status.Error(codes.InvalidArgument, "the body is not JSON")
	}
	if len(body) > 0 {
		if err := protojson.Unmarshal(body, in.Interface()); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
	}
	for i, field := range r.fields {
		if err := set(in, field, found[i+1]); err != nil {
			return nil, err
		}
	}
	for name, values := range request.URL.Query() {
		if err := set(in, name, values[0]); err != nil {
			return nil, err
		}
	}
	return in.Interface(), nil
}

// The fake looks twice at most; the service waits.
func (s *server) call(ctx context.Context, r *route, in proto.Message) (proto.Message, error) {
	out := newMessage(r.method.Output()).Interface()
	name := fmt.Sprintf("/%s/%s", r.method.Parent().FullName(), r.method.Name())
	isPull := r.method.Name() == "Pull"
	if isPull {
		message := in.ProtoReflect()
		field := message.Descriptor().Fields().ByName("return_immediately")
		message.Set(field, protoreflect.ValueOfBool(true))
	}
	for end := time.Now().Add(10 * time.Second); ; {
		if err := s.fake.Invoke(ctx, name, in, out); err != nil {
			return nil, err
		}
		if !isPull || proto.Size(out) > 0 || time.Now().After(end) {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

var httpCodes = map[codes.Code]struct {
	code int
	name string
}{
	codes.InvalidArgument:  {400, "INVALID_ARGUMENT"},
	codes.Unauthenticated:  {401, "UNAUTHENTICATED"},
	codes.PermissionDenied: {403, "PERMISSION_DENIED"},
	codes.NotFound:         {404, "NOT_FOUND"},
	codes.AlreadyExists:    {409, "ALREADY_EXISTS"},
	codes.Unimplemented:    {501, "UNIMPLEMENTED"},
}

func refuse(w http.ResponseWriter, err error) {
	known, found := httpCodes[status.Code(err)]
	if !found {
		known.code, known.name = 500, "INTERNAL"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(known.code)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": known.code, "status": known.name, "message": status.Convert(err).Message()}})
}

// ---- accounts ----------------------------------------------------------------------------------

type account struct {
	email string
	key   *rsa.PublicKey
}

type server struct {
	fake     *grpc.ClientConn
	routes   []route
	accounts map[string]account
	lock     sync.Mutex
	tokens   map[string]string // whose they are
}

func readAccount(path string) (account, error) {
	var file struct {
		ClientEmail string `json:"client_email"`
		PrivateKey  string `json:"private_key"`
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		return account{}, err
	}
	block, _ := pem.Decode([]byte(file.PrivateKey))
	if block == nil {
		return account{}, fmt.Errorf("%s has no key", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return account{}, err
	}
	return account{file.ClientEmail, &key.(*rsa.PrivateKey).PublicKey}, nil
}

// Whose statement it is, if it is good.
func (s *server) check(statement string) (string, error) {
	parts := strings.Split(statement, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("not a JWT")
	}
	var claims struct {
		Iss, Scope string
		Exp        int64
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	signature, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	known, found := s.accounts[claims.Iss]
	if err != nil || err2 != nil || !found || claims.Exp < time.Now().Unix() {
		return "", fmt.Errorf("not a statement of an account")
	}
	if claims.Scope != pubsubScope {
		return "", fmt.Errorf("the scope is %q", claims.Scope)
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return claims.Iss, rsa.VerifyPKCS1v15(known.key, crypto.SHA256, hash[:], signature)
}

func (s *server) giveToken(w http.ResponseWriter, request *http.Request) {
	email, err := s.check(request.PostFormValue("assertion"))
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(400)
		json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant",
			"error_description": err.Error()})
		return
	}
	s.lock.Lock()
	token := fmt.Sprintf("token-%d-%d", len(s.tokens), time.Now().UnixNano())
	s.tokens[token] = email
	s.lock.Unlock()
	json.NewEncoder(w).Encode(map[string]any{"access_token": token, "expires_in": 3600,
		"token_type": "Bearer"})
}

func (s *server) allow(request *http.Request, method protoreflect.Name) error {
	token, _ := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	s.lock.Lock()
	email, found := s.tokens[token]
	s.lock.Unlock()
	if !found {
		return status.Error(codes.Unauthenticated, "no valid token")
	}
	if strings.HasPrefix(email, "poor") && method != "Pull" && method != "Acknowledge" {
		return status.Errorf(codes.PermissionDenied, "%s may not do that", email)
	}
	return nil
}

func (s *server) listLeft(w http.ResponseWriter, ctx context.Context) {
	var topics pubsubpb.ListTopicsResponse
	var subscriptions pubsubpb.ListSubscriptionsResponse
	const project = "projects/lithops-test"
	err := s.fake.Invoke(ctx, "/google.pubsub.v1.Publisher/ListTopics",
		&pubsubpb.ListTopicsRequest{Project: project}, &topics)
	if err == nil {
		err = s.fake.Invoke(ctx, "/google.pubsub.v1.Subscriber/ListSubscriptions",
			&pubsubpb.ListSubscriptionsRequest{Project: project}, &subscriptions)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	for _, topic := range topics.Topics {
		fmt.Fprintln(w, topic.Name)
	}
	for _, subscription := range subscriptions.Subscriptions {
		fmt.Fprintln(w, subscription.Name)
	}
}

func (s *server) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/left" {
		s.listLeft(w, request.Context())
		return
	}
	if request.URL.Path == "/token" && request.Method == "POST" {
		s.giveToken(w, request)
		return
	}
	path, _ := url.PathUnescape(request.URL.EscapedPath())
	for i := range s.routes {
		r := &s.routes[i]
		found := r.path.FindStringSubmatch(path)
		if found == nil || r.verb != request.Method {
			continue
		}
		err := s.allow(request, r.method.Name())
		var in, out proto.Message
		if err == nil {
			in, err = r.read(found, request)
		}
		if err == nil {
			out, err = s.call(request.Context(), r, in)
		}
		var text []byte
		if err == nil {
			text, err = protojson.Marshal(out)
		}
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(text)
		return
	}
	refuse(w, status.Error(codes.NotFound, "no such method"))
}

func main() {
	fake := pstest.NewServer()
	conn, err := grpc.NewClient(fake.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		log.Fatal(err)
	}
	s := &server{fake: conn, accounts: map[string]account{}, tokens: map[string]string{}}
	for _, path := range os.Args[2:] {
		known, err := readAccount(path)
		if err != nil {
			log.Fatal(err)
		}
		s.accounts[known.email] = known
	}
	for _, name := range []protoreflect.FullName{"google.pubsub.v1.Publisher",
		"google.pubsub.v1.Subscriber"} {
		descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			log.Fatal(err)
		}
		s.routes = append(s.routes, routesOf(descriptor.(protoreflect.ServiceDescriptor))...)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], s))
}
