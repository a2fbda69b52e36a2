"""Characters that are written in two ways (floor 2). Pairs: as it may stand, as it is read."""

from __future__ import annotations

# 旧字体 -> 新字体, and compatibility forms that Unicode normalisation leaves alone: one character, two shapes
OLD = (
    "亞亜 惡悪 壓圧 圍囲 醫医 壹壱 隱隠 榮栄 營営 衞衛 驛駅 圓円 鹽塩 緣縁 艷艶 應応 歐欧 毆殴 櫻桜 奧奥 橫横 溫温 "
    "穩穏 假仮 價価 畫画 會会 壞壊 懷懐 繪絵 擴拡 殼殻 覺覚 學学 嶽岳 樂楽 勸勧 卷巻 寬寛 歡歓 罐缶 觀観 關関 陷陥 "
    "顏顔 歸帰 氣気 龜亀 僞偽 戲戯 犧犠 舊旧 據拠 擧挙 虛虚 峽峡 挾挟 狹狭 鄕郷 曉暁 區区 驅駆 勳勲 薰薫 徑径 惠恵 "
    "揭掲 溪渓 經経 繼継 莖茎 螢蛍 輕軽 鷄鶏 藝芸 擊撃 縣県 儉倹 劍剣 險険 圈圏 檢検 權権 獻献 硏研 顯顕 驗験 嚴厳 "
    "廣広 效効 恆恒 鑛鉱 號号 國国 黑黒 濟済 碎砕 劑剤 棧桟 參参 慘惨 產産 蠶蚕 贊賛 殘残 絲糸 齒歯 兒児 辭辞 濕湿 "
    "實実 寫写 釋釈 壽寿 收収 從従 澁渋 獸獣 縱縦 肅粛 處処 緖緒 敍叙 奬奨 將将 燒焼 稱称 證証 乘乗 剩剰 壤壌 孃嬢 "
    "條条 淨浄 疊畳 穰穣 讓譲 釀醸 觸触 寢寝 愼慎 晉晋 眞真 盡尽 圖図 粹粋 醉酔 隨随 髓髄 數数 樞枢 瀨瀬 聲声 靜静 "
    "齊斉 齋斎 攝摂 竊窃 專専 淺浅 潛潜 纖繊 踐践 錢銭 禪禅 雙双 壯壮 搜捜 插挿 爭争 總総 聰聡 莊荘 裝装 騷騒 臟臓 "
    "藏蔵 屬属 續続 墮堕 體体 對対 帶帯 滯滞 臺台 瀧滝 擇択 澤沢 單単 擔担 膽胆 團団 彈弾 斷断 癡痴 遲遅 晝昼 蟲虫 "
    "鑄鋳 廳庁 聽聴 鎭鎮 遞逓 鐵鉄 轉転 點点 傳伝 黨党 盜盗 燈灯 當当 鬪闘 德徳 獨独 讀読 屆届 繩縄 貳弐 腦脳 霸覇 "
    "廢廃 拜拝 賣売 麥麦 發発 髮髪 拔抜 蠻蛮 祕秘 濱浜 甁瓶 拂払 佛仏 竝並 變変 邊辺 邉辺 辨弁 瓣弁 辯弁 舖舗 穗穂 "
    "寶宝 豐豊 沒没 飜翻 槇槙 萬万 滿満 默黙 彌弥 藥薬 譯訳 豫予 餘余 與与 譽誉 搖揺 樣様 謠謡 來来 賴頼 亂乱 覽覧 "
    "兩両 獵猟 綠緑 壘塁 淚涙 勵励 禮礼 靈霊 齡齢 戀恋 爐炉 勞労 樓楼 祿禄 錄録 灣湾 髙高 﨑崎 𠮷吉 遙遥 每毎 步歩 "
    "歷歴 曆暦 淸清 靑青 增増 曾曽 敎教 巢巣 彥彦 戶戸 戾戻 吳呉 說説 稅税 銳鋭 悅悦 閱閲 郞郎 卽即 旣既 飮飲 鷗鴎 "
    "凜凛 黃黄 內内 尙尚 槪概 "
)
# 異体字 in use beside each other: registered names tell them apart, people do not
VARIANT = "龍竜 嶋島 嶌島 嵜崎 碕崎 峯峰 冨富 舘館 渕淵 斉斎 檜桧 薮藪 桒桑 濵浜 栁柳 舩船 籠篭 﨔欅 巖巌"
SMALL_KANA = "ァア ィイ ゥウ ェエ ォオ ッツ ャヤ ュユ ョヨ ヮワ ヵカ ヶケ"
SOUND = "ヰイ ヱエ ヲオ ヂジ ヅズ ヴブ"


def table(*pairs: str) -> dict[int, str]:
    """For str.translate: the first character of each pair to the second."""
    return {ord(p[0]): p[1] for text in pairs for p in text.split()}


HIRAGANA = {i: chr(i + 0x60) for i in range(0x3041, 0x3097)}  # to katakana
STRICT = table(OLD)
LOOSE = HIRAGANA | table(VARIANT, SMALL_KANA, SOUND)
