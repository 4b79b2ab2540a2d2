(import "wasi:io/poll@0.2.6" "poll" (func $poll (param i32 i32 i32)))
(func (export "evaluate") (param i32) (result i32)
  (call $poll (i32.const 1024) (i32.const 0) (i32.const 1032)) (call $accept))
