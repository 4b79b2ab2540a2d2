(data (i32.const 1024) "\ff\fe")
(func (export "evaluate") (param i32) (result i32) (call $accept_as (i32.const 1024) (i32.const 2)))
