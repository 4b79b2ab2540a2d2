"""A SPIFFE Workload API over the stubs of the PyPI package `spiffe`, which gives what it is told to give.

Usage: workload_api.py ADDRESS, an address of gRPC's such as unix:/run/agent.sock or 127.0.0.1:0. Each line of standard input
is what it gives from then on: null for no identity, or an X509SVIDResponse in JSON with its bytes in base64. Every stream
gets each of them. Prints "serving PORT" once it listens, "stream" for each one that begins, and "refused" for one without the
header that clients have to send. Ends with its input.
"""

import json
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf import json_format
from spiffe._proto import workload_pb2, workload_pb2_grpc


def say(text):
    print(text, flush=True)


class Agent(workload_pb2_grpc.SpiffeWorkloadAPIServicer):
    def __init__(self):
        self.changed = threading.Condition()
        self.version = 0
        self.given = None

    def give(self, given):
        with self.changed:
            self.version += 1
            self.given = given
            self.changed.notify_all()

    def FetchX509SVID(self, request, context):
        if dict(context.invocation_metadata()).get("workload.spiffe.io") != "true":
            say("refused")
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing from request")
        say("stream")
        sent = 0
        while context.is_active():
            with self.changed:
                # The time-out is for a client that went away, of which nobody tells.
                self.changed.wait_for(lambda: self.version > sent, timeout=1)
                if self.version == sent:
                    continue
                sent, given = self.version, self.given
            if given is None:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "no identity issued")
            yield given


def main():
    agent = Agent()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    workload_pb2_grpc.add_SpiffeWorkloadAPIServicer_to_server(agent, server)
    port = server.add_insecure_port(sys.argv[1])
    server.start()
    say(f"serving {port}")
    for line in sys.stdin:
        given = json.loads(line)
        message = given and json_format.ParseDict(given, workload_pb2.X509SVIDResponse())
        agent.give(message)
    server.stop(None)


main()
