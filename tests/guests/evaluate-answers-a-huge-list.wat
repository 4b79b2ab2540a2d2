;; 3.6 million attributes with empty names and values: 58 MB of the guest's memory, and three times as much of the
;; host's, if it took them.
(memory (export "memory") 900)
(func (export "evaluate") (param i32) (result i32) (call $accept_with (i32.const 8192) (i32.const 3600000)))
