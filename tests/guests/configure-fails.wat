(data (i32.const 1024) "no such setting")
(func (export "configure") (param i32 i32 i32 i32) (result i32)
  (call $configure_fails (i32.const 1024) (i32.const 15)))
