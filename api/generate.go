// Package api holds the wire contracts only: what travels between browser, cloud, appliance,
// token service and device. The Go in its folders is generated from them and from nothing else.
package api

//go:generate sh -c "PATH=$PWD/../bin/tools:$PATH; GOBIN=$PWD/../bin/tools go install google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc && protoc -I . --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative tunnelpb/tunnel.proto tunnelpb/handover.proto tokensvcpb/tokensvc.proto"
