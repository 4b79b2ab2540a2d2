;; 128 MiB from the start.
(memory (export "memory") 2048)
