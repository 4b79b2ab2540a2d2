;; The address that it gives the host lies outside its memory.
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (select (i32.const 0x7ffffff8) (i32.const 4096) (global.get $evaluating)))
(global $evaluating (mut i32) (i32.const 0))
(func (export "evaluate") (param $handshake i32) (result i32)
  (global.set $evaluating (i32.const 1))
  (call $chain (local.get $handshake) (i32.const 1024))
  (call $accept))
