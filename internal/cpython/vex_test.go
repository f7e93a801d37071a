package cpython

import (
	"encoding/hex"
	"strings"
	"testing"
)

// TestVectorInstructions holds lengths to those that objdump shows for code of
// glibc; over all of it and of libm (16000 of them) there was no difference.
func TestVectorInstructions(t *testing.T) {
	tests := map[string]string{
		"vzeroupper": "c5 f8 77", "vmovd": "c5 f9 6e c6", "vmovdqu (%rsi)": "c5 fe 6f 0e",
		"kmovq": "c4 e1 fb 92 cb", "shlx": "c4 e2 39 f7 c9", "bzhi": "c4 e2 a0 f5 da",
		"vmovdqu8 (%rdi)": "62 f1 7f c9 6f 0f", "vpcmpeqb $0": "62 f3 7d 48 3f c2 00",
		"vmovdqa64 0x1(%r11)": "62 d1 fd 48 6f b3 01 00 00 00", "vpternlogd": "62 f3 65 28 25 e2 fe",
		"vpalignr": "c4 e3 7d 0f c1 08", "vpshufd (%rip)": "c5 fd 70 05 01 02 03 04 1b",
		"vmovups disp8(%rsp)": "c5 fc 11 44 24 20", "vmovups disp32(,%rax,8)": "c5 fc 11 04 c5 01 02 03 04",
		"vcmpps $4": "c5 f4 c2 c1 04", "vpslld $3": "c5 f5 72 f1 03",
	}
	for name, text := range tests {
		code, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		_, length, ok := decode(append(code, 0x90, 0x90, 0x90), 0)
		if !ok || int(length) != len(code) {
			t.Errorf("%s: length %d, %v; want %d", name, length, ok, len(code))
		}
		for n := range code {
			if got := vexLength(code[:n]); got > uint32(n) {
				t.Errorf("%s, cut to %d bytes: length %d", name, n, got)
			}
		}
	}
	if _, _, ok := decode([]byte{0x66, 0x4c, 0x0f, 0x38, 0xf6, 0xe8}, 0); ok {
		t.Error("the prefix of an unknown instruction (adcx) was decoded as one by itself")
	}
}
