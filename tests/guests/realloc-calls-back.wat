;; Calls the host while the host hands over the certificates.
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (if (global.get $evaluating) (then (call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))
  (i32.const 4096))
(global $evaluating (mut i32) (i32.const 0))
(func (export "evaluate") (param $handshake i32) (result i32)
  (global.set $evaluating (i32.const 1))
  (call $chain (local.get $handshake) (i32.const 1024))
  (call $accept))
