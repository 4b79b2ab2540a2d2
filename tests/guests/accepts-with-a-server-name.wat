;; Accepts who asks for a server by its name.
(data (i32.const 1024) "nameless")
(func (export "evaluate") (param $handshake i32) (result i32)
  (call $server_name (local.get $handshake) (i32.const 2048))
  (if (result i32) (i32.load8_u (i32.const 2048))
    (then (call $accept))
    (else (call $reject (i32.const 1024) (i32.const 8)))))
