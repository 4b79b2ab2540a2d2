;; Each call gives new handles of the certificates, and none is given back.
(func (export "evaluate") (param $handshake i32) (result i32)
  (loop $more
    (call $chain (local.get $handshake) (i32.const 1024))
    (br $more))
  (unreachable))
