;; The code is the common name of the client's certificate, whose only attribute it is: "CN=expired".
(func (export "evaluate") (param $handshake i32) (result i32)
  ;; At 1024 the list of certificates, an address and a length; its first element is the leaf.
  (call $chain (local.get $handshake) (i32.const 1024))
  (call $subject (i32.load (i32.load (i32.const 1024))) (i32.const 1032))
  (call $reject
    (i32.add (i32.load (i32.const 1032)) (i32.const 3))
    (i32.sub (i32.load (i32.const 1036)) (i32.const 3))))
