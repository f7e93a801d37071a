package probes

//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -type rec -type frame -type target -type thread -type counts -type loop -type worker -type loop_at -type loop_told -type lag -type lag_told -type rec_kind -type rare_kind -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu" bpf bpf/gilscope.bpf.c
//go:generate go tool bpf2go -cc clang-14 -strip llvm-strip-14 -target amd64,arm64 -cflags "-O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu" -output-stem bpf_sock bpfSock bpf/lag.bpf.c
