(func (export "evaluate") (param i32) (result i32) (call $accept_with (i32.const 1024) (i32.const -1)))
