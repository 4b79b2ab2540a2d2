(import "wasi:cli/exit@0.2.9" "exit" (func $exit (param i32)))
(func (export "evaluate") (param i32) (result i32) (call $exit (i32.const 0)) (call $accept))
