"""Names in two scripts: a spelling for the passport and the one the person writes.

Faker pairs both spellings for Japanese only; for Chinese, Korean and Arabic common name parts are listed here as
pairs, and Russian names are transliterated letter by letter.
"""

from collections.abc import Mapping, Sequence
from typing import Final

Pairs = Sequence[tuple[str, str]]  # (native, Latin)


def _pairs(text: str) -> Pairs:
    return tuple((native, latin) for native, _, latin in (item.partition(":") for item in text.split()))


FAMILIES: Final[Mapping[str, Pairs]] = {
    "Hans": _pairs(
        "王:Wang 李:Li 张:Zhang 刘:Liu 陈:Chen 杨:Yang 黄:Huang 赵:Zhao 吴:Wu 周:Zhou 徐:Xu 孙:Sun 马:Ma 朱:Zhu 胡:Hu 林:Lin "
        "郭:Guo 何:He 高:Gao 罗:Luo 郑:Zheng 梁:Liang 谢:Xie 宋:Song 唐:Tang 欧阳:Ouyang"
    ),
    "Kore": _pairs(
        "김:Kim 이:Lee 박:Park 최:Choi 정:Jung 강:Kang 조:Cho 윤:Yoon 장:Jang 임:Lim 한:Han 오:Oh 서:Seo 신:Shin 권:Kwon 황:Hwang"
    ),
    "Arab": _pairs(
        "المنصوري:Al-Mansoori الحمادي:Al-Hammadi السويدي:Al-Suwaidi الكعبي:Al-Kaabi الظاهري:Al-Dhaheri حداد:Haddad "
        "خوري:Khoury منصور:Mansour نجار:Najjar صباغ:Sabbagh قاسم:Qasim فارس:Fares درويش:Darwish رحال:Rahhal"
    ),
}

GIVEN: Final[Mapping[str, Pairs]] = {
    "Hans": _pairs(
        "婷:Ting 静:Jing 敏:Min 丽:Li 强:Qiang 磊:Lei 洋:Yang 艳:Yan 勇:Yong 军:Jun 杰:Jie 娜:Na 涛:Tao 明:Ming 秀英:Xiuying "
        "雪梅:Xuemei 建国:Jianguo 子涵:Zihan 欣怡:Xinyi 浩然:Haoran 雨桐:Yutong 思远:Siyuan"
    ),
    "Kore": _pairs(
        "민준:Minjun 서연:Seoyeon 지우:Jiwoo 하은:Haeun 도윤:Doyun 수아:Sua 예준:Yejun 지민:Jimin 현우:Hyunwoo 유진:Yujin "
        "성민:Sungmin 은정:Eunjung 재현:Jaehyun 소영:Soyoung"
    ),
    "Arab": _pairs(
        "فاطمة:Fatima مريم:Mariam نورة:Noura ليلى:Layla سارة:Sara هند:Hind محمد:Mohammed أحمد:Ahmed خالد:Khalid "
        "سلطان:Sultan راشد:Rashid يوسف:Youssef عمر:Omar زايد:Zayed"
    ),
}

_CYRILLIC: Final = str.maketrans(
    dict(zip("абвгдезийклмнопрстуфыэ", "abvgdeziyklmnoprstufye", strict=True))
    | {"ё": "yo", "ж": "zh", "\N{CYRILLIC SMALL LETTER HA}": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch"}
    | {"ъ": "", "ь": "", "ю": "yu", "я": "ya"}
)


def latin(cyrillic: str) -> str:
    """Transliterate a Russian name as a passport would, near enough."""
    return cyrillic.lower().translate(_CYRILLIC).title()
