;; Accepts who comes from an address that begins with "10.".
(data (i32.const 1024) "outside")
(func (export "evaluate") (param $handshake i32) (result i32)
  (call $peer_address (local.get $handshake) (i32.const 2048))
  (if (result i32)
    (i32.eq
      (i32.and (i32.load (i32.load (i32.const 2048))) (i32.const 0xffffff))
      (i32.const 0x2e3031))
    (then (call $accept))
    (else (call $reject (i32.const 1024) (i32.const 7)))))
